"""Examples: whole documents, one of each claim, and values for keys that do not show their own."""

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

ASSERTIONS = """\
apiVersion: chaos.trading/v1
kind: Assertions
metadata: {name: shop-words}
spec:
  assertions:
    orders_are_slow:
      description: Orders take {{ parameters.at_least }} or longer
      parameters:
        - {name: kind, type: string, default: book, description: Of what}
        - {name: at_least, type: duration, default: 2s, min: 100ms}
        - {name: how_many, type: integer, default: 1, min: 1}
      claim:
        type: event
        where: >-
          event.type == 'order.sent' && event.data.kind == {{ parameters.kind }}
          && duration(event.data.took) >= {{ parameters.at_least }}
        at_least: "{{ parameters.how_many }}"
"""

ASSERTED = """\
- {assert: orders_are_slow, parameters: {kind: record, at_least: 5s}, within: 30s}
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
    "continuity": "{type: continuity, key: event.data.id, opened_by: order.submitted, closed_by: [order.filled, order.rejected]}",
    "correlation": "{type: correlation, rule: chaos-alert, fault: restart, confidence: 0.8}",
    "event": "{type: event, where: \"event.type == 'order.filled'\", at_least: 20}",
    "expression": '{type: expression, expect: "claims.after.measured < 2.0 * claims.before.measured && faults.restart.lasted < 10.0"}',
    "grpc": '{type: grpc, address: "127.0.0.1:50051", method: shop.Stock/Count, request: {item: tea}, expect: "response.left > 0"}',
    "health": "{type: health, target: all, throughout: true, except: disturbed}",
    "http": '{type: http, url: "http://127.0.0.1:8080/stock", expect: "status == 200 && json.left > 0", throughout: true}',
    "latency": "{type: latency, probe: front, percentile: 99, at_most: 250ms, min_samples: 100}",
    "log": '{type: log, target: web, matches: "reconnected to .*", within: 10s}',
    "metric": "{type: metric, target: web, metric: 'orders_total{status=\"filled\"}', of: rate, at_least: 5}",
    "outage": "{type: outage, probe: front, at_most: 2s, during: restart}",
    "recovery": "{type: recovery, target: web, of: restart, within: 10s}",
    "role": "{type: role, group: fleet, role: leader, exactly: 1, within: 5s, after: restart}",
    "set": '{type: set, workload: writers, op: write, read: {http: {url: "http://127.0.0.1:8080/keys", items: json.keys}}}',
    "slo": "{type: slo, probe: front, at_least: 99.5%, below: 250ms, min_samples: 200}",
    "trace": "{type: trace, where: \"span.name == 'submit_order' && span.service == 'web' && !span.error\", at_least: 20, grace: 6s}",
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
    "symbol": "BTC-USD",
    "symbols": "[BTC-USD, ETH-USD]",
    "affect_symbols": "[BTC-USD]",
    "base_symbol": "BTC-USD",
    "target_symbol": "ETH-USD",
    "operations": "[place_order]",
    "operation": "place_order",
    "affected_accounts": "[alpha]",
    "reason": "maintenance",
    "error_message": "maintenance",
    "settlement_types": "[crypto_external]",
    "settlement_type": "crypto_external",
    "affected_types": "[wire_domestic]",
    "error": "half_done",
    "source": "primary",
    "delay_duration": "2h",
    "config": "{side: buy}",
    "peers": "[10.0.0.0/24]",
    "wanted": "eclipse",
    "told": "{depth: 3}",
    "target_price": "1",
}
"""A value for each parameter that an action must be told."""

KEYS: dict[str, str] = {
    "CorrelationClaim.rule": "chaos-alert",
    "CorrelationClaim.fault": "restart",
    "CorrelationClaim.confidence": "0.95",
    "CorrelationClaim.unexplained": "0",
    "SystemSpec.correlation": "{rules: […]}",
    "Correlation.rules": "[{name: chaos-alert, …}]",
    "Correlation.ends": "[order.filled, order.rejected]",
    "Correlation.ordinary": "[report.daily]",
    "Rule.name": "chaos-alert",
    "Rule.trigger": "{service: test-coordinator, type: chaos_injection_started}",
    "Rule.effect": "{service: risk, type: alert}",
    "Rule.max_delay": "2m",
    "Rule.min_confidence": "0.8",
    "Occurrence.service": "risk",
    "Occurrence.type": "[alert, warning]",
    "Occurrence.where": "\"event.data.kind == 'limit'\"",
    "assert": "usdt_depegged",
    "vocabulary": "[trading]",
    "claim": "{type: health, target: web}",
    "AssertionsSpec.assertions": "{web_is_well: {…}}",
    "Word.description": "the web answers",
    "Word.parameters": "[{name: symbol, type: string, default: USDT-USD}]",
    "Asserted.parameters": "{min_deviation: 0.05}",
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
    "LogClaim.where": "\"line.startsWith('ERROR') && !line.contains('retry')\"",
    "TraceClaim.where": "\"span.name == 'submit_order' && span.attributes['venue'] == 'sim'\"",
    "TraceClaim.key": "span.name",
    "contains": "reconnected",
    "op": "write",
    "read": "{command: {argv: [redis-cli, smembers, keys]}}",
    "ItemsRead.http": '{url: "http://127.0.0.1:8080/keys", items: json.keys}',
    "ItemsRead.command": "{argv: [redis-cli, smembers, keys]}",
    "HttpItems.items": "json.keys",
    "CommandItems.items": "stdout",
    "matches": '"reconnected to .*"',
    "EventDurations.where": "\"event.type == 'order.filled'\"",
    "RecoveryClaim.of": "restart",
    "MetricClaim.of": "rate",
    "seed": "7",
    "count": "5",
    "among": "[{action: restart, target: web, for: 1s}]",
    "drawn": "true",
    "weight": "2",
    "random": "{every: 10s, among: […]}",
    "gate": "{ask: Is the desk told?, approve: [ann], timeout: 10m}",
    "ask": "Is the desk told?",
    "approve": "[ann, bob]",
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
    "OutageClaim.at_most": "2s",
    "SloClaim.at_least": "99.5%",
    "RoleClaim.role": "leader",
    "RoleClaim.at_least": "1",
    "RoleClaim.at_most": "1",
    "exactly": "1",
    "unknown_by": "order.timed_out",
    "equals": "0",
    "except": "disturbed",
    "url": '"http://127.0.0.1:8080/health"',
    "expect": '"status == 200"',
    "CommandCheck.expect": '"code == 0"',
    "ExpressionClaim.expect": "\"claims['no-order-lost'].verdict == 'passed' && claims.back.took < 2.5\"",
    "GrpcClaim.expect": "\"code == 'OK' && response.status == 'SERVING'\"",
    "method": "grpc.health.v1.Health/Check",
    "request": '{service: ""}',
    "probe": "front",
    "workload": "writers",
    "event": "{where: \"event.type == 'order.filled'\", value: event.data.took}",
    "value": "body",
    "CommandRole.value": "stdout",
    "EventDurations.value": "event.data.took",
    "percentile": "99",
    "compare": "baseline",
    "unlike": "baseline",
    "EventClaim.key": "event.data.alert_id",
    "HttpClaim.key": '"json.map(a, a.alert_id)"',
    "min_samples": "100",
    "metric": "orders_total",
    "promql": "sum(rate(orders_total[10s]))",
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
    "protected": "[db]",
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
    "audit": "trading.events.chaos",
    "services": "{web: {driver: {external: {}}}}",
    "links": "{web-to-db: {from: web, to: db, port: 5432, env: DATABASE}}",
    "Link.env": "DATABASE",
    "groups": "{fleet: {members: [web, db]}}",
    "volumes": "{data: {service: db, path: /srv/data}}",
    "prometheus": '{http: "http://127.0.0.1:9090"}',
    "traces": '{listen: "127.0.0.1:14317"}',
    "Traces.listen": '"127.0.0.1:14317"',
    "probes": '{front: {http: {url: "http://127.0.0.1:8080/"}, rate: 20/s}}',
    "workloads": "{buyers: {command: [python, buyers.py]}}",
    "steady_state": "{settle: 10s, recover: 30s}",
    "claims": "[{type: health, target: all, except: disturbed}]",
    "limits": "{faults_at_once: 3}",
}
"""An example for each key that does not show its own, by key or by the part that has it and the key."""
