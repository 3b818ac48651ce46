"""Assertions documents: words become the claims that they stand for, and every mistake is told where it stands."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from actors.control import Acceptance
from cli.main import app
from messages.claims import AnyClaim, EventClaim, ExpressionClaim, HealthClaim, HttpClaim, MetricClaim
from messages.expressions import Bindings, compiled
from scenarios import DocumentErrors, check_text, library_directory, load_systems, resolve
from scenarios.loader import as_text
from scenarios.vocabulary import Assertions, library_vocabularies, load_vocabularies

DOCUMENTS = Path(__file__).parent / "documents"
SYSTEMS = load_systems(DOCUMENTS)
WORDS = """\
kind: Assertions
metadata: {name: shop-words}
spec:
  assertions:
    sent:
      description: Something {{ parameters.kind }} is sent
      parameters:
        - {name: kind, type: string, default: book}
        - {name: share, type: number, default: 0.5, min: 0, max: 1}
        - {name: many, type: integer, default: 1, min: 1}
        - {name: slow, type: duration, default: 2s, max: 1m}
        - {name: how, type: enum, values: [post, courier], default: post}
        - {name: gift, type: boolean, default: false}
        - {name: tags, type: list, default: []}
      claim:
        type: event
        where: >-
          event.type == 'sent' && event.data.kind == {{ parameters.kind }} && event.data.share >= {{ parameters.share }}
          && duration(event.data.took) >= {{ parameters.slow }} && event.data.how == {{ parameters.how }}
          && event.data.gift == {{ parameters.gift }} && {{ parameters.tags }}.all(tag, tag in event.data.tags)
        at_least: "{{ parameters.many }}"
    well:
      description: It is well
      parameters: [{name: who, type: list, required: true}]
      claim: {type: health, target: "{{ parameters.who }}"}
    sooner:
      description: '{{ parameters.what }} took less than {{ parameters.most }} s'
      parameters: [{name: what, type: string, required: true}, {name: most, type: number, default: 2.5}]
      claim: {type: expression, expect: "claims[{{ parameters.what }}].took < {{ parameters.most }}"}
    quick:
      description: The shop answers soon
      claim: {type: http, url: "http://127.0.0.1:18001/", expect: "status == 200", within: 5s}
"""
HEAD = "kind: Scenario\nmetadata: {name: x}\nspec:\n  system: shop\n  phases:\n"
DATA = {"kind": "book", "share": 0.5, "took": "2s", "how": "post", "gift": False, "tags": ["a"]}


def scenario(claim: str) -> str:
    """The claim begins in line 9, column 11."""
    return f"{HEAD}    - name: p\n      duration: 10s\n      assertions:\n        - {claim}\n"


def claim_of(claim: str, words: str = WORDS) -> AnyClaim:
    resolved = resolve(f"{scenario(claim)}---\n{words}", file="f.yaml", systems=SYSTEMS)
    (found,) = resolved.scenario.spec.phases[0].assertions
    return found


def told(text: str, *, vocabularies: dict[str, Assertions] | None = None) -> list[str]:
    return [str(found).removeprefix("f.yaml:") for found in check_text(text, file="f.yaml", systems=SYSTEMS, vocabularies=vocabularies)]


def place(text: str, part: str) -> str:
    before = text[: text.index(part)]
    return f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def holds(claim: AnyClaim, **changed: Any) -> bool:
    assert isinstance(claim, EventClaim)
    return compiled(claim.where).holds(Bindings({"event": {"type": "sent", "data": DATA | changed}}))


def test_a_word_may_be_an_expression_over_the_claims_that_it_is_told() -> None:
    beside = "{type: health, id: well, target: web, within: 3s}"
    good, bad = (scenario(f"{beside}\n        - {{assert: sooner, parameters: {{what: {name}}}}}") for name in ("well", "wel"))

    resolved = resolve(f"{good}---\n{WORDS}", file="f", systems=SYSTEMS)

    found = resolved.scenario.spec.phases[0].assertions[1]
    assert isinstance(found, ExpressionClaim)
    assert found.expect == 'claims["well"].took < 2.5'
    assert told(f"{bad}---\n{WORDS}") == ["10:47: there is no claim with the id 'wel'; did you mean 'well'?"]


def test_a_word_is_the_claim_that_it_stands_for_and_the_run_knows_nothing_else() -> None:
    resolved = resolve(f"{scenario('{assert: sent, within: 3s, on_fail: abort, grace: 1s}')}---\n{WORDS}", file="f", systems=SYSTEMS)

    (claim,) = resolved.scenario.spec.phases[0].assertions
    assert isinstance(claim, EventClaim)
    assert (claim.id, claim.description, claim.on_fail) == ("p-sent", "Something book is sent", "abort")
    assert holds(claim)
    assert not {"assert", "vocabulary", "shop-words", "{{"} & set(as_text(resolved.scenario).replace('"', " ").split())
    assert resolve(as_text(resolved.scenario), file="f", systems=SYSTEMS, vocabularies={}).scenario == resolved.scenario


@pytest.mark.parametrize(
    ("parameters", "yes", "no"),
    [
        ("{}", {}, {"kind": "record"}),
        ("{kind: record}", {"kind": "record"}, {}),
        ("{share: 1}", {"share": 1.0}, {}),
        ("{slow: 1m}", {"took": "1m0s"}, {}),
        ("{how: courier}", {"how": "courier"}, {}),
        ("{gift: true}", {"gift": True}, {}),
        ("{tags: [a, b]}", {"tags": ["b", "a"]}, {}),
        ("""{kind: "a' || true || 'b"}""", {"kind": "a' || true || 'b"}, {}),
        ("""{kind: 'x" || true || "'}""", {"kind": 'x" || true || "'}, {}),
        ("""{kind: "\\\\' || \\t é 😀 \\n"}""", {"kind": "\\' || \t é 😀 \n"}, {}),
        ("""{kind: "{{ '{' + '{ 1 }' + '}' }}"}""", {"kind": "{{ 1 }}"}, {}),
    ],
)
def test_parameters_are_typed_values_in_the_claim_and_no_text_gets_out_of_its_quotes(
    parameters: str, yes: dict[str, object], no: dict[str, object]
) -> None:
    claim = claim_of(f"{{assert: sent, parameters: {parameters}}}")

    assert holds(claim, **yes)
    assert not holds(claim, **no)


def test_a_value_with_braces_is_no_expression_when_the_run_is_read_again() -> None:
    use = scenario("""{assert: sent, parameters: {kind: "{{ '{' + '{ 1 }' + '}' }}"}}""")
    resolved = resolve(f"{use}---\n{WORDS}", file="f", systems=SYSTEMS).scenario

    assert resolve(as_text(resolved), file="f", systems=SYSTEMS).scenario == resolved


def test_outside_of_cel_a_parameter_is_the_value_itself() -> None:
    counted, healthy = claim_of("{assert: sent, parameters: {many: 7}}"), claim_of("{assert: well, parameters: {who: [front, store]}}")

    assert isinstance(counted, EventClaim)
    assert counted.at_least == 7
    assert isinstance(healthy, HealthClaim)
    assert healthy.target == ("web", "db")


def test_parameters_may_come_from_variables_and_from_those_of_a_template() -> None:
    head = HEAD.replace("  phases", "  variables: {what: record}\n  phases")
    one = f"{head}    - {{name: p, assertions: [{{assert: sent, parameters: {{kind: '{{{{ variables.what }}}}'}}}}]}}\n---\n{WORDS}"
    other = one.replace("Scenario", "Template").replace("variables: {what: record}", "").replace("variables.what", "parameters.what")
    other = other.replace("spec:", "parameters: [{name: what, type: string, required: true}]\nspec:", 1)

    from_variable = resolve(one, file="f", systems=SYSTEMS).scenario.spec.phases[0].assertions[0]
    from_parameter = resolve(other, file="f", systems=SYSTEMS, variables={"what": "disc"}).scenario.spec.phases[0].assertions[0]

    assert holds(from_variable, kind="record")
    assert holds(from_parameter, kind="disc")
    assert told(other) == []


@pytest.mark.parametrize(
    ("claim", "at", "what"),
    [
        ("{assert: snet}", "snet", "unknown word 'snet'; did you mean 'sent'?"),
        ("{assert: sent, parameters: {knd: book}}", "knd", "unknown parameter 'knd'; did you mean 'kind'?"),
        ("{assert: quick, parameters: {how: post}}", "how", "unknown parameter 'how'; there are none here"),
        ("{assert: well}", "{assert", "'well' needs the parameter 'who' (a list of texts); add parameters: {who: "),
        ("{assert: sent, parameters: {kind: 5}}", "5}", "'kind' cannot be 5; a text"),
        ("{assert: sent, parameters: {share: much}}", "much", "'share' cannot be 'much'; a number, at least 0, at most 1"),
        ("{assert: sent, parameters: {share: 1.5}}", "1.5", "'share' cannot be 1.5; a number, at least 0, at most 1"),
        ("{assert: sent, parameters: {many: 0}}", "0}", "'many' cannot be 0; a whole number, at least 1"),
        ("{assert: sent, parameters: {many: 1.5}}", "1.5", "'many' cannot be 1.5; a whole number"),
        ("{assert: sent, parameters: {slow: 2 seconds}}", "2 seconds", "'slow' cannot be '2 seconds'; a duration is"),
        ("{assert: sent, parameters: {slow: 2m}}", "2m", "'slow' cannot be '2m'; a duration is"),
        ("{assert: sent, parameters: {how: pots}}", "pots", "'how' cannot be 'pots'; did you mean 'post'?"),
        ("{assert: sent, parameters: {gift: yes}}", "yes", "'gift' cannot be 'yes'; true or false"),
        ("{assert: sent, parameters: {tags: a}}", "a}", "'tags' cannot be 'a'; a list of texts"),
        ("{assert: sent, parameters: {kind: null}}", "null", "'kind' cannot be nothing; a text"),
        ("{assert: sent, parameters: [book]}", "[book]", "'parameters' cannot be a list"),
        ("{assert: [sent]}", "[sent]", "'assert' cannot be a list"),
        ("{assert: sent, withn: 3s}", "withn", "unknown key 'withn'; did you mean 'within'?"),
        ("{assert: sent, within: soon}", "soon", "'soon' is not a duration"),
        ("{assert: sent, type: event}", "type", "unknown key 'type'"),
        ("{assert: quick, within: 3s}", "within", "'quick' says 'within' itself; take it out"),
        ("{assert: sent, during: absent}", "absent", "there is no fault with the id 'absent'"),
        ("{assert: sent, throughout: true}", "true}", "an event cannot hold throughout"),
        ("{assert: well, parameters: {who: [web, bd]}}", "bd", "the system has no service 'bd'"),
        ("{assert: sent, parameters: {kind: " + "x" * 1200 + "}}", "xxx", "not an expression that can be used: an expression has at most"),
    ],
)
def test_a_mistake_in_the_use_of_a_word_is_told_where_it_stands(claim: str, at: str, what: str) -> None:
    text = f"{scenario(claim)}---\n{WORDS}"

    found = told(text)

    assert [line for line in found if line.startswith(f"{place(text, at)}: {what}")], found
    assert len({line.partition(": ")[2].partition(";")[0] for line in found}) == 1, found


@pytest.mark.parametrize(
    ("part", "wrong", "at", "what"),
    [
        ("type: event\n", "type: evnt\n", "evnt", "unknown type 'evnt'; did you mean 'event'?"),
        ("where: >-", "wher: >-", "wher", "unknown key 'wher'; did you mean"),
        ("event.type == 'sent'", "event.type ==== 'sent'", ">-", "not an expression that can be used"),
        ("event.type == 'sent'", "evnt.type == 'sent'", ">-", "there is no variable 'evnt' in this expression; did you mean 'event'?"),
        ("{{ parameters.kind }} &&", "'{{ parameters.kind }}' &&", ">-", "{{ }} stands inside quotes, and its value has its own; take"),
        ("{{ parameters.kind }} &&", "{{ parameters.knd }} &&", ">-", "there is no parameter 'knd'; did you mean 'kind'?"),
        ("{{ parameters.kind }} &&", "{{ variables.kind }} &&", ">-", "there is no variable 'kind'"),
        ("Something {{ parameters.kind }}", "Something {{ parameters.what }}", "Something", "there is no parameter 'what'"),
        ("{{ parameters.many }}", "{{ parameters.kind }}", '"{{ parameters.kind }}"', "'at_least' cannot be 'book'; a whole number"),
        ("default: 0.5", "default: 1.5", "1.5", "'share' cannot be 1.5; a number, at least 0, at most 1"),
        ("name: share", "name: kind", "kind, type: number", "a second parameter 'kind'; names must differ"),
        ("type: enum, values: [post, courier]", "type: enum", "{name: how", "an enum needs its values"),
        ("type: boolean, default: false", "type: boolean", "{name: gift", "nobody has to give 'gift', and it has no default"),
        ("type: integer", "type: whole", "whole", "'whole' is not known here"),
        (
            'expect: "status == 200", within',
            "id: quick, within",
            "id: quick",
            "a word's claim has no 'id'; it stands where",
        ),
        ("within: 5s", "within: 5s, throughout: true", "{type: http", "`within`, `throughout` and `never` exclude each other"),
        ("description: It is well", "descriptions: It is well", "descriptions", "unknown key 'descriptions'"),
        ("    quick:", "    well:", "well:\n      description: The shop", "the key 'well' stands here twice"),
    ],
)
def test_a_mistake_in_an_assertions_document_is_told_at_its_place_there(part: str, wrong: str, at: str, what: str) -> None:
    assert part in WORDS
    text = WORDS.replace(part, wrong, 1)

    found = told(text)

    assert [line for line in found if line.startswith(f"{place(text, at)}: {what}")], found
    assert {line.split(":")[0] for line in found} <= {place(text, at).split(":")[0], "16", "23"}


def test_a_word_that_needs_its_parameters_is_checked_as_far_as_it_does_not_depend_on_them() -> None:
    claim = "{type: http, url: '{{ parameters.url }}', expect: 'body == {{ parameters.url }}', every: '{{ parameters.every }}'}"
    parameters = "[{name: url, type: string, required: true}, {name: every, type: duration, required: true}]"
    head = "kind: Assertions\nmetadata: {name: w}\nspec:\n  assertions:\n"
    text = f"{head}    a: {{description: x, parameters: {parameters}, claim: {claim}}}\n"

    assert told(text) == []
    assert "not an expression that can be used" in told(text.replace("body ==", "body === "))[0]
    found = claim_of("{assert: a, parameters: {url: 'http://127.0.0.1:1/', every: 100ms}}", text)
    assert isinstance(found, HttpClaim)
    assert found.expect == 'body == "http://127.0.0.1:1/"'


def test_words_are_those_of_the_documents_that_the_system_or_the_scenario_names() -> None:
    known = load_vocabularies(DOCUMENTS)
    use = scenario("{assert: usdt_depegged}")
    naming = use.replace("system: shop", "system: shop\n  vocabulary: [trading]")
    own = "kind: System\nmetadata: {name: shop}\nspec:\n  vocabulary: [trading]\n  services: {web: {driver: {external: {}}}}\n"

    assert "trading" in known
    assert "unknown word 'usdt_depegged'; name an Assertions document" in told(use, vocabularies=known)[0]
    assert told(naming) == []
    assert told(f"{use}---\n{own}") == []
    resolved = resolve(f"{use}---\n{own}", file="f", systems={}, allow_systems=True)
    assert resolved.system.spec.vocabulary == ()


def test_a_vocabulary_that_does_not_exist_is_told_where_it_is_named() -> None:
    use = scenario("{type: event, where: 'true'}")
    naming = use.replace("system: shop", "system: shop\n  vocabulary: [tradng]")
    own = "kind: System\nmetadata: {name: shop}\nspec:\n  vocabulary: [tradng]\n  services: {web: {driver: {external: {}}}}\n"

    assert told(naming) == [f"{place(naming, 'tradng')}: there is no vocabulary 'tradng'; did you mean 'trading'?"]
    assert told(own) == [f"{place(own, 'tradng')}: there is no vocabulary 'tradng'; did you mean 'trading'?"]
    assert len(told(f"{use}---\n{own}")) == 1


def test_a_word_that_is_defined_twice_is_a_mistake() -> None:
    other = WORDS.replace("shop-words", "more-words")
    both = f"{WORDS}---\n{other}"
    named = f"{scenario('{assert: sent}')}---\n{WORDS}".replace("system: shop", "system: shop\n  vocabulary: [far]")
    far = {"far": library_vocabularies()["trading"].model_copy(update={"spec": _spec(WORDS)})}

    assert any(f"{place(both, 'sent:')}" not in line and "'sent' is a word of 'shop-words' as well" in line for line in told(both))
    assert any("'sent' is a word of " in line and line.startswith(place(named, "[far]")) for line in told(named, vocabularies=far))
    assert any("a second vocabulary 'shop-words'" in line for line in told(f"{WORDS}---\n{WORDS}"))


def _spec(text: str) -> Any:
    from scenarios.vocabulary import assertions_in

    return assertions_in(text, "f", [])["shop-words"].spec


def test_words_that_are_wrong_in_their_document_are_no_unknown_words_where_they_are_used() -> None:
    text = f"{scenario('{assert: quick}')}---\n{WORDS.replace('type: http', 'type: htp')}"

    assert [line for line in told(text) if "unknown word" in line] == []
    assert len(told(text)) == 1


def test_a_directory_may_hold_words_of_its_own_beside_those_of_the_library(tmp_path: Path) -> None:
    (tmp_path / "words.yaml").write_text(WORDS)

    assert set(load_vocabularies(tmp_path)) == {"shop-words", *library_vocabularies()}
    (tmp_path / "twice.yaml").write_text(WORDS)
    with pytest.raises(DocumentErrors, match="a second vocabulary 'shop-words'"):
        load_vocabularies(tmp_path)
    (tmp_path / "twice.yaml").write_text(WORDS.replace("type: http", "type: htp"))
    with pytest.raises(DocumentErrors, match="unknown type 'htp'"):
        load_vocabularies(tmp_path)


def test_the_library_has_one_document_of_words_and_its_system_names_it() -> None:
    systems = load_systems(library_directory())

    assert systems["trading"].spec.vocabulary == ("trading",)
    text = "kind: Scenario\nmetadata: {name: x}\nspec:\n  system: trading\n  phases: [{name: p, assertions: [{assert: alerts_cleared}]}]\n"
    (claim,) = resolve(text, file="f", systems=systems).scenario.spec.phases[0].assertions
    assert isinstance(claim, MetricClaim)


def test_the_command_line_and_the_host_know_the_words_beside_their_systems(tmp_path: Path) -> None:
    (tmp_path / "words.yaml").write_text(WORDS)
    (tmp_path / "shop.yaml").write_text((DOCUMENTS / "shop.yaml").read_text().replace("spec:\n", "spec:\n  vocabulary: [shop-words]\n", 1))
    (tmp_path / "use.yaml").write_text(scenario("{assert: sent}"))
    (tmp_path / "wrong.yaml").write_text(scenario("{assert: snet}"))
    systems = ["--systems", str(tmp_path)]
    host = Acceptance(load_systems(tmp_path), load_vocabularies(tmp_path), allow_systems=False)

    alone = CliRunner().invoke(app, ["validate", str(tmp_path / "words.yaml")])
    right = CliRunner().invoke(app, ["validate", str(tmp_path / "use.yaml"), *systems])
    planned = CliRunner().invoke(app, ["run", str(tmp_path / "use.yaml"), *systems, "--dry-run"])
    by_file = CliRunner().invoke(app, ["run", str(tmp_path / "use.yaml"), "--system", str(tmp_path / "shop.yaml"), "--dry-run", *systems])
    wrong = CliRunner().invoke(app, ["validate", str(tmp_path / "wrong.yaml"), *systems])

    assert [one.exit_code for one in (alone, right, planned, by_file, wrong)] == [0, 0, 0, 0, 2]
    assert "wrong.yaml:9:20: unknown word 'snet'; did you mean 'sent'?" in wrong.output
    assert host.check(scenario("{assert: sent}"), "f", None, {}).scenario.spec.phases[0].assertions[0].type == "event"
