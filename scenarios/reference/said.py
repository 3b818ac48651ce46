"""What the models leave unsaid: descriptions of keys whose name says it, and examples."""

DESCRIPTIONS: dict[str, str] = {
    "name": "What it is called.",
    "description": "What it is about, for people.",
    "version": "The version of the document.",
    "author": "Who wrote it.",
    "tags": "Words by which it is found: `list --tag`, `scenarios --tag`.",
    "apiVersion": "The version of the language.",
    "kind": "What the document is.",
    "metadata": "What the document is called and is about.",
    "spec": "What it is made of.",
    "type": "What kind it is.",
    "phases": "The parts of a run, one after the other.",
    "Phase.name": "What it is called; `settle`, `finally` and `recover` are names of stages that every run has.",
    "Phase.duration": "How long it holds; without one, until its last action is over.",
    "Phase.actions": "What is done. Actions start together, unless they say `delay` or `after`.",
    "RandomAction.action": "One of the faults of the language.",
    "RandomPlan.among": "What is drawn from.",
    "EventClaim.at_least": "So many must come.",
    "EventClaim.at_most": "No more may come.",
    "HttpClaim.url": "What is asked for, with GET.",
    "LatencyClaim.event": "Events that tell durations.",
    "MetricClaim.at_least": "The least that it may be: a number or, with `compare`, +5, -10% or 2x.",
    "MetricClaim.at_most": "The most that it may be, likewise.",
    "MetricClaim.equals": "What it must be.",
    "MetricClaim.deadline": "A scrape that takes longer is none.",
    "Parameter.default": "What it is when nobody says anything else.",
    "argv": "The program and its arguments; no shell.",
    "command": "The program and its arguments; no shell.",
    "Health.http": "An HTTP GET.",
    "Health.grpc": "A call of grpc.health.v1.",
    "Health.tcp": "A TCP connection.",
    "Health.command": "A program.",
    "Probe.http": "An HTTP GET.",
    "Probe.grpc": "A call of grpc.health.v1.",
    "Probe.tcp": "A TCP connection.",
    "Probe.command": "A program.",
    "Role.http": "An HTTP GET.",
    "Role.command": "A program.",
    "address": "Host and port.",
    "url": "What is asked for.",
    "http": "Its address.",
    "Driver.process": "A process that the chaos-injector starts.",
    "Driver.external": "Something that is only observed.",
    "members": "The services.",
    "stop_signal": "What asks it to end.",
    "stop_grace": "From the stop signal to SIGKILL.",
    "env": "Added to the injector's own environment, beside `NATS_URL`.",
    "directory": "Where it runs; by default where the injector runs.",
    "services": "The services under test, by name.",
    "Service.driver": "How it is held.",
    "Service.health": "What healthy means.",
    "links": "Ways between services that a proxy of ours can disturb, by name.",
    "groups": "Services that are alike, by name.",
    "volumes": "Folders that may be filled, by name.",
    "probes": "Measurements at a fixed rate, by name.",
    "steady_state": "What holds when nothing is wrong.",
    "direction": "Which way: upstream is towards what is connected to, downstream what comes back; of packets `in` and `out` of the service.",
    "operations": "Only these operations.",
    "operation": "Only this operation.",
    "affected_accounts": "Only for these accounts.",
    "rejection_rate": "The share that is rejected.",
    "reason": "What the answer says.",
    "error_message": "What the answers say.",
    "multiplier": "How many times as far apart.",
    "symbols": "Only these instruments, like BTC-USD.",
    "symbol": "Only this instrument, like BTC-USD.",
    "reduction_factor": "The share that is taken away.",
    "intensity": "How strong it is, from 0 to 1.",
    "fill_ratio": "The share of an order that is filled.",
    "settlement_types": "Only settlements of these types, like crypto_external.",
    "settlement_type": "Only settlements of this type, like crypto_external.",
    "affected_types": "Only settlements of these types.",
    "delay_ms": "How late.",
    "delay_hours": "How late.",
    "delay_duration": "How late, as text.",
    "duration_hours": "How long.",
    "duration_seconds": "How long.",
    "StablecoinDepeg.duration_hours": "How long it drifts away.",
    "failure_rate": "The share that fails.",
    "error": "What is told of it.",
    "delay_multiplier": "How many times as long.",
    "min_amount": "Only from this amount on.",
    "shock_percentage": "How far, in per cent; down is negative.",
    "pattern": "In which way.",
    "recovery_time_seconds": "How long it takes to come back.",
    "recovery_seconds": "How long it takes to come back.",
    "target_price": "Where to.",
    "target_deviation": "How far from 1; down is negative.",
    "hold_hours": "How long it stays there.",
    "recovery_hours": "How long it takes to come back.",
    "volatility_increase": "How many times as nervous meanwhile.",
    "base_symbol": "One instrument.",
    "target_symbol": "The other instrument.",
    "max_spread_bps": "How far apart, in hundredths of a per cent.",
    "buildup_hours": "How long they drift apart.",
    "sustain_hours": "How long they stay apart.",
    "source": "Which feed.",
    "packet_loss_percentage": "How many of a hundred are lost.",
    "latency_ms": "How late.",
    "affect_symbols": "Only these instruments.",
    "correlation": "What it falls to, from -1 to 1.",
    "volatility_multiplier": "How many times as far prices move.",
    "preserve_trend": "Whether they still go where they went.",
    "crash_percentage": "How far, in per cent; down is negative.",
    "crash_duration_minutes": "How long they fall.",
    "hold_minutes": "How long they stay there.",
    "correlation_increase": "How much more they move together.",
    "volume_spike_multiplier": "How many times as much is traded.",
    "recovery_pattern": "In which way they come back.",
    "strategy": "Which one, like RunawayStrategy.",
    "config": "What the strategy is told.",
    "id": "What the API called it.",
}
"""By key, or by the part that has it and the key."""

EXAMPLE = """\
apiVersion: chaos.trading/v1
kind: Scenario
metadata: {name: shop-restart, description: The shop restarts while people buy, tags: [shop, restart]}
spec:
  system: shop
  timeout: 2m
  variables: {slo: 5s}
  phases:
    - name: baseline
      duration: 5s
      assertions:
        - {type: http, url: "http://127.0.0.1:8080/", throughout: true}
    - name: chaos
      duration: 10s
      actions:
        - {id: restart, target: web, action: restart}
        - {id: slow, target: {link: web-to-db}, action: latency, parameters: {delay: 100ms}, for: 3s, after: restart}
      assertions:
        - {type: latency, probe: front, percentile: 90, during: slow, at_most: 800ms, min_samples: 20}
  assertions:
    - {type: recovery, target: web, of: restart, within: "{{ variables.slo }}"}
---
apiVersion: chaos.trading/v1
kind: System
metadata: {name: shop}
spec:
  services:
    web:
      driver: {process: {command: [python, -m, shop.web], env: {DATABASE: "127.0.0.1:5432"}}}
      health: {http: {url: "http://127.0.0.1:8080/health"}}
      depends_on: [db]
    db:
      driver: {process: {command: [python, -m, shop.db]}}
      health: {tcp: {address: "127.0.0.1:5432"}}
  links: {web-to-db: {from: web, to: db, port: 5432, env: DATABASE}}
  probes: {front: {http: {url: "http://127.0.0.1:8080/"}, rate: 20/s}}
"""
"""A scenario and its system in one file."""

TEMPLATE = """\
apiVersion: chaos.trading/v1
kind: Template
metadata: {name: outage, description: One service is away for a while}
parameters:
  - {name: target, type: string, required: true, description: Which service}
  - {name: how, type: enum, values: [stop, kill, pause], default: stop}
  - {name: outage, type: duration, default: 5s, min: 1s, max: 1m}
spec:
  system: shop
  phases:
    - name: outage
      duration: "{{ parameters.outage + 10s }}"
      actions:
        - {id: outage, target: "{{ parameters.target }}", action: "{{ parameters.how }}", for: "{{ parameters.outage }}"}
  assertions:
    - {type: recovery, of: outage, target: "{{ parameters.target }}", within: "{{ parameters.outage + 10s }}", by: any}
"""

RANDOM = """\
- name: monkey
  duration: 1m
  random:
    every: 10s
    seed: 7
    among:
      - {action: restart, target: {group: fleet}, for: 1s, weight: 2}
      - {action: latency, target: {link: web-to-db}, parameters: {delay: [50ms, 300ms]}, for: 5s}
"""

CLAIMS: dict[str, str] = {
    "audit": "{type: audit, target: web, sequence: [service.stopping, service.started], within: 10s}",
    "continuity": "{type: continuity, key: event.data.id, opened_by: order.submitted, closed_by: [order.filled, order.rejected], grace: 2s}",
    "event": "{type: event, where: \"event.type == 'order.filled'\", at_least: 20}",
    "health": "{type: health, target: all, throughout: true, except: disturbed}",
    "http": '{type: http, url: "http://127.0.0.1:8080/stock", expect: "status == 200 && json.left > 0", throughout: true}',
    "latency": "{type: latency, probe: front, percentile: 99, at_most: 250ms, min_samples: 100}",
    "metric": "{type: metric, target: web, metric: 'orders_total{status=\"filled\"}', of: rate, at_least: 5}",
    "recovery": "{type: recovery, target: web, of: restart, within: 10s}",
    "unsupported": "{type: unsupported, wanted: audit_correlation/events_correlated}",
}
"""An example of each type."""

TOLD: dict[str, str] = {
    "delay": "100ms",
    "rate": "100kB/s",
    "network_loss.rate": "0.1",
    "bytes": "4096",
    "cores": "0.5",
    "headroom": "20MiB",
    "size": "1MiB",
    "delay_ms": "500",
    "rejection_rate": "0.3",
    "multiplier": "5",
    "reduction_factor": "0.5",
    "failure_rate": "0.2",
    "delay_multiplier": "4",
    "shock_percentage": "-5",
    "recovery_time_seconds": "60",
    "target_deviation": "-0.05",
    "duration_hours": "2",
    "max_spread_bps": "150",
    "buildup_hours": "1",
    "volatility_multiplier": "5",
    "crash_percentage": "-15",
    "crash_duration_minutes": "10",
    "strategy": "RunawayStrategy",
    "wanted": "eclipse",
}
"""A value for each parameter that an action must be told."""

KEYS: dict[str, str] = {
    "name": "a-name",
    "description": "what it is about",
    "version": '"1.2"',
    "author": "QA",
    "tags": "[trading, restart]",
    "metadata": "{name: a-name}",
    "spec": "{…}",
    "id": "restart",
    "target": "web",
    "parameters": "{delay: 100ms}",
    "after": "restart",
    "at_once": "1",
    "pick": "50%",
    "where": "\"role == 'leader'\"",
    "of": "[web, db]",
    "group": "fleet",
    "link": "web-to-db",
    "volume": "data",
    "between": "[[web], [db]]",
    "EventClaim.where": "\"event.type == 'order.filled'\"",
    "EventDurations.where": "\"event.type == 'order.filled'\"",
    "RecoveryClaim.of": "restart",
    "MetricClaim.of": "rate",
    "seed": "7",
    "count": "5",
    "among": "[{action: restart, target: web, for: 1s}]",
    "drawn": "true",
    "weight": "2",
    "random": "{every: 10s, among: […]}",
    "actions": "[{target: web, action: restart}]",
    "assertions": "[{type: health, target: all}]",
    "phases": "[{name: chaos, duration: 10s}]",
    "finally": "[{target: web, action: start}]",
    "system": "trading",
    "variables": "{slo: 10s}",
    "success_criteria": "[all_phases_completed]",
    "reporting": "{generate_timeline: true}",
    "speed": "60",
    "held": '["timeout: 5m"]',
    "during": "slow",
    "before": "restart.injected",
    "sequence": "[service.stopping, service.started]",
    "key": "event.data.order_id",
    "opened_by": "order.submitted",
    "closed_by": "[order.filled, order.rejected]",
    "at_least": "20",
    "at_most": "100",
    "LatencyClaim.at_most": "250ms",
    "equals": "0",
    "except": "disturbed",
    "url": '"http://127.0.0.1:8080/health"',
    "expect": '"status == 200"',
    "CommandCheck.expect": '"code == 0"',
    "probe": "front",
    "workload": "writers",
    "event": "{where: \"event.type == 'order.filled'\", value: event.data.took}",
    "value": "body",
    "CommandRole.value": "stdout",
    "EventDurations.value": "event.data.took",
    "percentile": "99",
    "compare": "baseline",
    "min_samples": "100",
    "metric": "orders_total",
    "wanted": "audit_correlation/events_correlated",
    "UnsupportedClaim.parameters": "{correlation_threshold: 0.95}",
    "Template.parameters": "[{name: target, type: string, required: true}]",
    "default": "5s",
    "values": "[stop, kill]",
    "min": "1s",
    "max": "1m",
    "argv": "[redis-cli, ping]",
    "command": "[python, -m, shop.web]",
    "Health.command": "{argv: [redis-cli, ping]}",
    "Probe.command": "{argv: [redis-cli, ping]}",
    "Role.command": "{argv: [redis-cli, role]}",
    "address": '"127.0.0.1:8080"',
    "service": "web",
    "http": '{url: "http://127.0.0.1:8080/health"}',
    "grpc": '{address: "127.0.0.1:50051"}',
    "tcp": '{address: "127.0.0.1:5432"}',
    "Endpoint.http": '"http://127.0.0.1:8080/metrics"',
    "ChaosEndpoint.http": '"http://127.0.0.1:8080/chaos"',
    "ChaosEndpoint.key": "{secret: CHAOS_KEY}",
    "calls": "[inject_latency, clear_chaos]",
    "process": "{command: [python, -m, shop.web]}",
    "external": "{}",
    "members": "[web, db]",
    "keep_healthy": "1",
    "secret": "DB_PASSWORD",
    "env": '{HTTP_PORT: "8080", DB_PASSWORD: {secret: DB_PASSWORD}}',
    "directory": "/srv/shop",
    "namespace": "shop",
    "aliases": "[front]",
    "driver": "{process: {command: [python, -m, shop.web]}}",
    "health": '{tcp: {address: "127.0.0.1:8080"}}',
    "role": "{command: {argv: [redis-cli, role]}}",
    "chaos": '{http: "http://127.0.0.1:8080/chaos"}',
    "metrics": '{http: "http://127.0.0.1:8080/metrics"}',
    "depends_on": "[db]",
    "from": "web",
    "to": "db",
    "port": "5432",
    "host": "127.0.0.1",
    "listen": "15432",
    "path": "/srv/data",
    "events": '["trading.events.>"]',
    "services": "{web: {driver: {external: {}}}}",
    "links": "{web-to-db: {from: web, to: db, port: 5432, env: DATABASE}}",
    "Link.env": "DATABASE",
    "groups": "{fleet: {members: [web, db]}}",
    "volumes": "{data: {service: db, path: /srv/data}}",
    "probes": '{front: {http: {url: "http://127.0.0.1:8080/"}, rate: 20/s}}',
    "workloads": "{buyers: {command: [python, buyers.py]}}",
    "steady_state": "{settle: 10s, recover: 30s}",
    "claims": "[{type: health, target: all, except: disturbed}]",
    "limits": "{faults_at_once: 3}",
}
"""An example for each key that does not show its own, by key or by the part that has it and the key."""
