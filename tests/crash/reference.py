"""The run in which processes are killed: three faults, claims of each kind that rests on another witness, and one that may fail."""

from pathlib import Path

SERVICES = ("front", "back", "side")
SERVICE = Path(__file__).parent.parent / "end_to_end" / "service.py"


def system(front: int, back: int, side: int) -> str:
    """Three services that say in their logs when they begin, and a link."""
    return f"""
apiVersion: chaos.trading/v1
kind: System
metadata: {{name: crash}}
spec:
  events: ["crash.>"]
  services:
    front: {_service(front, ", EVENTS: crash")}
    back: {_service(back)}
    side: {_service(side)}
  links: {{way: {{from: front, to: back, port: {back}, env: UPSTREAM}}}}
  steady_state: {{settle: 15s, recover: 15s, stable: 200ms}}
"""


def _service(port: int, more: str = "") -> str:
    command = f'[sh, -c, "echo begins; exec python {SERVICE}"]'
    driver = f'{{process: {{command: {command}, env: {{PORT: "{port}"{more}}}}}}}'
    return f'{{driver: {driver}, health: {{http: {{url: "http://127.0.0.1:{port}/health"}}, every: 100ms, deadline: 2s}}}}'


def scenario(*, fails: bool) -> str:
    """Passes, or fails by one claim that no crash may hide."""
    never = "tick" if fails else "tock"
    return f"""
apiVersion: chaos.trading/v1
kind: Scenario
metadata: {{name: reference}}
spec:
  system: crash
  phases:
    - name: calm
      duration: 300ms
      assertions: [{{id: ticks, type: event, where: "event.type == 'tick'", at_least: 3, grace: 2s}}]
    - name: chaos
      duration: 6s
      actions:
        - {{id: slow, target: {{link: way}}, action: latency, parameters: {{delay: 100ms}}, for: 5s}}
        - {{id: halt, target: side, action: pause, for: 5s}}
        - {{id: bounce, target: front, action: restart}}
  assertions:
    - {{id: bounced, type: recovery, target: front, of: bounce, within: 15s}}
    - {{id: halted, type: recovery, target: side, of: halt, within: 15s, by: undo}}
    - {{id: quiet, type: event, where: "event.type == '{never}'", never: true, on_fail: continue}}
"""
