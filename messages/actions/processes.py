"""What can be done to a service that is a process."""

from messages.actions.spec import ActionSpec

PROCESS_ACTIONS: dict[str, ActionSpec] = {
    "stop": ActionSpec("Ends the service with its stop signal and leaves it down until its end.", fault=True, means="process"),
    "kill": ActionSpec("Kills the service (SIGKILL) and leaves it down until its end.", fault=True, means="process"),
    "pause": ActionSpec("Halts the service (SIGSTOP) until its end.", fault=True, means="process"),
    "restart": ActionSpec(
        "Ends the service with its stop signal and starts it again at once.", fault=True, means="process", ends_itself=True
    ),
    "start": ActionSpec("Starts the service if it does not run.", fault=False, means="process"),
    "resume": ActionSpec("Lets a halted service go on (SIGCONT).", fault=False, means="process"),
}
