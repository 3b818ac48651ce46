"""What the reference says beside what the models say."""

from messages.actions import Means

INTRODUCTION = """\
<!-- Written by `make docs` from the models; changes are made there. -->

A **scenario** says what is done to a system and what must be true of it meanwhile; a **system** says which services
there are and how each is reached; a **template** is a scenario with parameters; **assertions** are a domain's own words
for claims. They are YAML (1.2; JSON will do), one or several in a file, separated by `---`. Every mistake is told at once, as
`FILE:LINE:COLUMN: what is wrong; what would be right` (`test-coordinator validate FILE…`).

For completion and checks while you type, let your editor use [the schema](scenario.schema.json)
(`test-coordinator schema`). With the YAML language server, as in Visual Studio Code, the first line of a file does it:

```yaml
# yaml-language-server: $schema=./scenario.schema.json
```

## A whole example
"""
VALUES = """\
## Values

| value | written as | means |
|---|---|---|
| duration | `500ms`, `10s`, `2m`, `1m30s`, `36h`, `2d` | a number and a unit: `us`, `ms`, `s`, `m`, `h`, `d` |
| size | `512B`, `100kB`, `20MiB`, `1GB` | bytes; `kB` is 1000, `KiB` 1024 |
| rate | `50/s`, `6/m`; of bytes `100kB/s`, `2MB/s` | how often, or how much |
| name | `trading-engine` | letters, digits, `-` and `_`, at most 64 |
| expression | `"{{ variables.slo + 5s }}"` | [CEL](https://cel.dev) over `variables` (in a template `parameters` too), in quotes |
| CEL | `"event.type == 'order.filled'"` | `where` and `expect`: an expression that is true or false |
| secret | `{secret: DB_PASSWORD}` | the value of a variable in the environment of who starts the service; never shown |
"""
PARTS: dict[str, dict[str, str]] = {
    "Scenarios": {
        "Scenario": "Scenario",
        "Metadata": "Metadata",
        "ScenarioSpec": "Scenario spec",
        "Phase": "Phase",
        "Gate": "Gate",
        "Action": "Action",
        "Selection": "Target",
        "GroupLimit": "Group limit",
        "RandomPlan": "Random plan",
        "RandomAction": "Random action",
    },
    "Templates": {"Template": "Template", "Parameter": "Parameter"},
    "Words": {"Assertions": "Assertions", "AssertionsSpec": "Assertions spec", "Word": "Word", "Asserted": "Use of a word"},
    "Systems": {
        "System": "System",
        "SystemSpec": "System spec",
        "Service": "Service",
        "Driver": "Driver",
        "ProcessDriver": "Process driver",
        "ExternalDriver": "External driver",
        "Secret": "Secret",
        "Health": "Health",
        "HttpCheck": "HTTP check",
        "GrpcCheck": "gRPC check",
        "TcpCheck": "TCP check",
        "CommandCheck": "Command check",
        "Role": "Role",
        "HttpRole": "HTTP role",
        "CommandRole": "Command role",
        "ChaosEndpoint": "Chaos endpoint",
        "Endpoint": "Endpoint",
        "Traces": "Traces",
        "Link": "Link",
        "Group": "Group",
        "Volume": "Volume",
        "Probe": "Probe",
        "Workload": "Workload",
        "SteadyState": "Steady state",
        "Limits": "Limits",
        "Correlation": "Correlation",
        "Rule": "Correlation rule",
        "Occurrence": "Occurrence",
        "EventDurations": "Event durations",
        "ItemsRead": "Items read",
        "HttpItems": "HTTP items",
        "CommandItems": "Command items",
    },
}
"""The parts of documents that have a section of their own, in its order."""
MEANS: dict[Means, str] = {
    "process": "On processes",
    "limit": "Limits of processes",
    "link": "On links",
    "network": "In network namespaces",
    "volume": "On volumes",
    "chaos": "Through a service's own chaos API",
    "nothing": "What nobody here can do",
}
SPEED = """\
## At another speed

`run --speed N` divides the times of a scenario by N, on a system that says `clock: scaled`: the durations of phases,
`delay`, `for`, `settle`, `every`, and the parameters of chaos APIs that are times (those in seconds, minutes and hours;
not those in milliseconds, which are what a service does to each request). Limits (`within`, `grace`, `effect_within`)
are divided too, but none becomes shorter than 15 s, or than it is written. A `timeout` keeps up to 5 minutes beyond the
phases. The scenario of the run says its `speed`, and which limits were `held`. The `limits` of a system and the `timeout` of
a gate stay as written.
"""
ORIGINAL = """\
## Documents of the original language

Documents with `service`, `parallel_actions`, `expect`, `rollback`, `success_criteria`, `reporting`,
`{{ .Variables.x }}` and `{{ .Parameters.x }}` load unchanged:

- `service` is `target`. `actions` start together: they were calls that return at once. Only what follows an action that
  ends something on the same service waits for it. `parallel_actions` start with them, after their `delay`.
- A fault ends with its phase, or when its own duration is over, if that comes first. A phase holds for its `duration`;
  `within` may be longer.
- `rollback.actions` are `finally`: always done. `reporting` and the scenario's `duration` are kept for readers.
- A document that names no system is about `trading`, the system that comes with the coordinator.
- An action that nobody here can do is refused when its time comes, and what nobody can judge is inconclusive; never
  passed.
- What an assertion `expect`s is a word of the vocabulary `trading`, told its `parameters` and, where the word takes one,
  its `service`.
"""
