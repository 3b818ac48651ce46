"""How services under test are reached: processes are started, stopped and disturbed; health is probed; effects are seen independently."""
