"""Mistakes that span layers, what the dialects make of one text, sizes that are refused, and the size given from outside."""

from __future__ import annotations

import time

import pytest

from cspdet.cfg.diagnostic import Diagnostic
from cspdet.cfg.dialect import ALEXEYAB, DIALECTS
from cspdet.cfg.source import Source
from cspdet.errors import CfgError, UsageError
from cspdet.graph import Graph, Node
from cspdet.layers.convolutional import Convolutional
from cspdet.rules import RULES, examine, load
from tests.conftest import ROOT

NET = "[net]\nwidth=32\nheight=32\nchannels=3\n"


def conv(**options: object) -> str:
    return section("convolutional", **{"activation": "linear", **options})


def section(name: str, **options: object) -> str:
    return "\n".join([f"[{name}]", *(f"{key.rstrip('_')}={value}" for key, value in options.items()), ""])


def yolo(classes: int = 1, mask: str = "0", num: int = 1, **options: object) -> str:
    return section("yolo", classes=classes, mask=mask, num=num, anchors=",".join(["9,9"] * num), **options)


def check(text: str, dialect: str = "alexeyab", **size: int | None) -> tuple[Graph | None, tuple[Diagnostic, ...]]:
    return examine(Source("net.cfg", text), DIALECTS[dialect], **size)


def graph_of(text: str, dialect: str = "alexeyab", **size: int | None) -> Graph:
    graph, diagnostics = check(text, dialect, **size)
    assert graph is not None, diagnostics
    return graph


def codes(text: str, dialect: str = "alexeyab", **size: int | None) -> list[str]:
    return [f"{each.severity} {each.code}" for each in check(text, dialect, **size)[1]]


def option(node: Node, name: str) -> object:
    return getattr(node.layer, name)


# -- rules ----------------------------------------------------------------------------------------------------------------

# Rule, severity, a cfg that it must speak of, and its nearest neighbour, that it must not.
SHARED = conv(filters=4) + conv(filters=4, size=3, pad=1) + conv(filters=4, size=3, pad=1, activation="leaky", share_index=1)
LEAD = conv(filters=6) + yolo(1, assigner="simota")
AUXILIARY = LEAD + conv(filters=6) + yolo(1, assigner="simota", aux=1, lead=1)
PAIRS = [
    ("head_filters", "error", conv(filters=17) + yolo(1, "0,1,2", 3), conv(filters=18) + yolo(1, "0,1,2", 3)),
    ("head_filters", "error", conv(filters=18) + yolo(1, "0,1", 2), conv(filters=12) + yolo(1, "0,1", 2)),
    (
        "head_filters",
        "error",
        conv(filters=6) + section("Gaussian_yolo", classes=1, anchors="9,9"),
        conv(filters=10) + section("Gaussian_yolo", classes=1, anchors="9,9"),
    ),
    (
        "head_filters",
        "error",
        conv(filters=12) + section("region", classes=2, num=2, anchors="1,1,2,2"),
        conv(filters=14) + section("region", classes=2, num=2, anchors="1,1,2,2"),
    ),
    (
        "head_filters",
        "error",
        section("connected", output=64, activation="linear") + section("detection", classes=1, coords=4, side=3, num=1),
        section("connected", output=54, activation="linear") + section("detection", classes=1, coords=4, side=3, num=1),
    ),
    ("head_filters", "error", yolo(1), conv(filters=6) + yolo(1)),
    ("shared_weights", "error", SHARED.replace("filters=4", "filters=5", 1), SHARED),
    ("shared_weights", "error", SHARED.replace("size=3", "size=5", 1), SHARED),
    ("shared_weights", "error", SHARED.replace("size=3", "rep=1\nsize=3", 1), SHARED),
    ("shared_weights", "warning", SHARED.replace("share_index", "batch_normalize=1\nshare_index"), SHARED),
    (
        "head_classes",
        "warning",
        conv(filters=6) + yolo(1) + conv(filters=7) + yolo(2),
        conv(filters=6) + yolo(1) + conv(filters=6) + yolo(1),
    ),
    ("head_anchors", "note", conv(filters=6) + yolo(1, "1", 2), conv(filters=12) + yolo(1, "1,0", 2)),
    (
        "head_anchors",
        "note",
        conv(filters=6) + yolo(1, "0", 3) + conv(filters=6) + yolo(1, "1", 3),
        conv(filters=6) + yolo(1, "0", 2) + conv(filters=6) + yolo(1, "1", 2),
    ),
    ("auxiliary_heads", "error", AUXILIARY.replace("lead=1", ""), AUXILIARY),
    ("auxiliary_heads", "error", AUXILIARY.replace("lead=1", "lead=-1"), AUXILIARY.replace("lead=1", "lead=-2")),
    ("auxiliary_heads", "error", LEAD + section("maxpool", stride=2) + AUXILIARY[len(LEAD) :], AUXILIARY),
    ("joint_heads", "warning", LEAD + conv(filters=6) + yolo(1), LEAD + conv(filters=6) + yolo(1, assigner="simota")),
    (
        "joint_heads",
        "warning",
        LEAD + conv(filters=6) + yolo(1, assigner="simota", topk=5),
        LEAD + conv(filters=6) + yolo(1, assigner="simota"),
    ),
    (
        "input_multiple",
        "warning",
        section("maxpool", stride=3, padding=0) + conv(filters=6) + yolo(1),
        section("maxpool", stride=2) + conv(filters=6) + yolo(1),
    ),
    ("mosaic_letterbox", "note", "mosaic=1\nletter_box=1\n[avgpool]\n", "mosaic=1\nletter_box=0\n[avgpool]\n"),
    ("mosaic_letterbox", "note", "mosaic=1\nletter_box=1\n[avgpool]\n", "mosaic=0\nletter_box=1\n[avgpool]\n"),
    ("endless_burn_in", "warning", "burn_in=9\nmax_batches=9\n[avgpool]\n", "burn_in=9\nmax_batches=10\n[avgpool]\n"),
    ("endless_burn_in", "warning", "burn_in=9\nmax_batches=5\n[avgpool]\n", "burn_in=9\n[avgpool]\n"),
    ("gate_order", "note", section("lstm", output=2), section("rnn", output=2)),
    ("batch_norm_epsilon", "note", conv(batch_normalize=1), conv(batch_normalize=0)),
    ("batch_norm_epsilon", "note", section("batchnorm"), section("dropout")),
    ("reorg_order", "note", conv(filters=4) + section("reorg", stride=2), conv(filters=4) + section("reorg3d", stride=2)),
    ("reorg_order", "note", conv(filters=4) + section("reorg", stride=2), conv(filters=4) + section("reorg", stride=1)),
]


@pytest.mark.parametrize(
    ("rule", "severity", "wrong", "right"), PAIRS, ids=[f"{number} {each[0]}" for number, each in enumerate(PAIRS)]
)
def test_a_rule_speaks_of_one_and_not_of_the_other(rule: str, severity: str, wrong: str, right: str) -> None:
    code = rule.replace("_", "-")
    assert f"{severity} {code}" in codes(NET + wrong)
    assert not any(each.endswith(code) for each in codes(NET + right))
    # What is not a mistake of another kind is nothing but this one.
    assert {each.split()[1] for each in codes(NET + wrong)} - {each.split()[1] for each in codes(NET + right)} == {code}


def test_every_rule_is_tried() -> None:
    assert {each[0] for each in PAIRS} == {rule.__name__ for rule in RULES}


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        (conv(filters=255) + yolo(2, "0,1,2", 3), "`filters=21`"),
        (section("connected", output=9) + section("detection", classes=1, coords=4, side=1), "`output=6`"),
        (conv(filters=9) + section("region", classes=5, anchors="1,1"), "`filters=10`"),
        (conv(filters=9) + section("Gaussian_yolo", classes=5, anchors="1,1"), "`filters=14`"),
        (conv(filters=9) + section("dropout") + yolo(2), "must read 7"),
    ],
)
def test_the_cure_of_a_head_cures_it(text: str, cure: str) -> None:
    (found,) = (each for each in check(NET + text)[1] if each.code == "head-filters")
    assert cure in found.help
    if cure.startswith("`"):
        name, number = cure.strip("`").split("=")
        cured = "\n".join(f"{name}={number}" if line.startswith(name) else line for line in text.split("\n"))
        assert "error head-filters" not in codes(NET + cured)


def test_a_head_that_is_wrong_points_at_the_number_to_change_and_at_its_causes() -> None:
    text = NET + conv(filters=255) + yolo(2, "0,1,2", 3)
    (found,) = check(text)[1]
    places = [found.label, *found.others]
    assert [place.span.text for place in places] == ["255", "0,1,2", "2"]


def test_rules_look_at_what_is_known_where_other_layers_are_wrong() -> None:
    text = NET + conv(filters=6) + section("nonsense") + section("route", layers=0) + conv(filters=17) + yolo(1)
    assert codes(text) == ["error unknown-section", "error head-filters"]


@pytest.mark.parametrize(("width", "nearest"), [(30, "use 32"), (35, "use 36"), (3, "use 4"), (1, "use 4")])
def test_the_nearest_size_is_named(width: int, nearest: str) -> None:
    text = NET + section("maxpool", stride=2) * 2 + conv(filters=6) + yolo(1)
    (found,) = check(text, width=width)[1]
    assert (found.code, found.help) == ("input-multiple", nearest)
    assert codes(text, width=int(nearest.split()[1])) == []


def test_only_the_first_of_many_is_told_of_an_order() -> None:
    text = NET + conv(batch_normalize=1) * 5 + section("gru") + section("lstm") + section("gru")
    assert codes(text) == ["note batch-norm-epsilon", "note gate-order"]


# -- dialects -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dialect", "filters", "found", "line"),
    [
        ("alexeyab", 6, "warning", 7),
        ("pjreddie", 6, "warning", 7),
        ("pytorch", 8, "warning", 6),
        ("hank-ai", None, "error", 7),
    ],
)
def test_an_option_given_twice(dialect: str, filters: int | None, found: str, line: int) -> None:
    graph, diagnostics = check(f"{NET}[convolutional]\nfilters=6\nfilters=8\nactivation=linear\n", dialect)
    ((severity, code, place),) = ((each.severity, each.code, each.label.span.line) for each in diagnostics)
    assert (severity, code, place) == (found, "duplicate-option", line)
    assert (graph.nodes[0].output.channels if graph else None) == filters


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[convolutional]\nfliters=6\nactivation=linear\n", "unknown-option"),
        ("[convolutional]\nactivation=lineal\n", "unknown-word"),
        ("[net2]\n[avgpool]\n", "unknown-section"),
    ],
)
def test_what_nobody_knows(dialect: str, text: str, code: str) -> None:
    strict = dialect == "hank-ai" or code == "unknown-section"
    graph, diagnostics = check(NET + text, dialect)
    ((severity, found),) = ((each.severity, each.code) for each in diagnostics)
    assert (severity, found) == ("error" if strict else "warning", code)
    assert (graph is None) == strict


@pytest.mark.parametrize(("dialect", "activation"), [("alexeyab", "relu"), ("pjreddie", "relu"), ("hank-ai", "leaky")])
@pytest.mark.parametrize("comment", ["# slope 0.1", " ; slope 0.1"])
def test_a_comment_behind_a_word(dialect: str, activation: str, comment: str) -> None:
    text = f"{NET}[convolutional]\nfilters=6 {comment}\nactivation=leaky {comment}\n"
    graph = graph_of(text, dialect)
    assert option(graph.nodes[0], "activation") == activation
    assert option(graph.nodes[0], "filters") == 6
    assert ("warning comment-in-word" in codes(text, dialect)) == (dialect != "hank-ai")


@pytest.mark.parametrize(
    ("dialect", "found"),
    [
        ("alexeyab", ["warning silu"]),
        ("pjreddie", ["warning newer-activation"]),
        ("pytorch", []),
    ],
)
def test_silu(dialect: str, found: list[str]) -> None:
    assert codes(NET + conv(activation="silu"), dialect) == found
    assert option(graph_of(NET + conv(activation="silu"), dialect).nodes[0], "activation") == "silu"


@pytest.mark.parametrize("activation", ["swish", "mish", "relu6", "gelu", "hard_mish", "revleaky", "normalize_channels"])
def test_activations_that_pjreddie_has_not(activation: str) -> None:
    text = NET + conv(activation=activation)
    assert codes(text, "pjreddie") == ["warning newer-activation"]
    assert codes(text, "alexeyab") == codes(text, "hank-ai") == []


@pytest.mark.parametrize("activation", ["logistic", "leaky", "elu", "selu", "stair", "hardtan", "lhtan", "loggy"])
def test_activations_that_everyone_has(activation: str) -> None:
    assert [codes(NET + conv(activation=activation), dialect) for dialect in DIALECTS] == [[]] * 4


@pytest.mark.parametrize(
    ("pool", "alexeyab", "pjreddie"),
    [
        ({"stride": 2}, ["warning shortcut-size"], []),
        ({"stride": 4}, ["warning shortcut-size"], []),
        ({"stride": 1, "size": 2, "padding": 0}, ["warning shortcut-size"], []),
        ({"size": 1, "stride_x": 2, "stride_y": 1}, ["error shortcut-size"], ["warning foreign-option"] * 2),
        ({"size": 1}, [], []),
    ],
)
def test_a_shortcut_of_unequal_size(pool: dict[str, int], alexeyab: list[str], pjreddie: list[str]) -> None:
    text = NET + conv(filters=4) + section("maxpool", **pool) + section("shortcut", from_=0)
    assert codes(text, "alexeyab") == codes(text, "hank-ai") == alexeyab
    assert codes(text, "pjreddie") == pjreddie


FOREIGN = [
    ("reorg", {"stride": 2, "extra": 7}, "extra", 7, 0),
    ("reorg", {"stride": 2, "flatten": 1}, "flatten", True, False),
    ("shortcut", {"from_": 0, "alpha": 0.5}, "alpha", 0.5, 1.0),
    ("shortcut", {"from_": 0, "beta": 0.5}, "beta", 0.5, 1.0),
    ("gru", {"tanh": 1}, "tanh", True, False),
    ("region", {"classes": 1, "background": 1, "anchors": "1,1"}, "background", True, False),
]


@pytest.mark.parametrize(
    ("name", "options", "foreign", "given", "ignored"), FOREIGN, ids=[f"{each[0]} {each[2]}" for each in FOREIGN]
)
def test_options_of_pjreddie(name: str, options: dict[str, object], foreign: str, given: object, ignored: object) -> None:
    text = NET + conv(filters=6) + conv(filters=6) + section(name, **options)
    text = text.replace("filters=6", "filters=4") if name == "reorg" else text
    assert option(graph_of(text, "pjreddie").nodes[2], foreign) == given
    assert option(graph_of(text, "alexeyab").nodes[2], foreign) == ignored
    assert "warning foreign-option" in codes(text, "alexeyab")
    assert "warning foreign-option" not in codes(text, "pjreddie")


NEWER = [
    ("convolutional", {"filters": 2, "dilation": 2, "size": 3, "pad": 1}, "dilation", 1),
    ("convolutional", {"filters": 2, "stride_x": 2}, "stride_x", None),
    ("convolutional", {"filters": 2, "antialiasing": 1, "stride": 2}, "antialiasing", 0),
    ("maxpool", {"size": 2, "stride_y": 2}, "stride_y", None),
    ("maxpool", {"maxpool_depth": 1}, "maxpool_depth", False),
    ("route", {"layers": -1, "groups": 2}, "groups", 1),
    ("shortcut", {"from_": 0, "weights_type": "per_channel", "weights_normalization": "relu"}, "weights_type", "none"),
    ("yolo", {"classes": 1, "anchors": "1,1", "scale_x_y": 1.1}, "scale_x_y", 1.0),
    ("yolo", {"classes": 1, "anchors": "1,1", "nms_kind": "diounms"}, "nms_kind", "default"),
]


@pytest.mark.parametrize(("name", "options", "newer", "ignored"), NEWER, ids=[f"{each[0]} {each[2]}" for each in NEWER])
def test_options_that_pjreddie_has_not(name: str, options: dict[str, object], newer: str, ignored: object) -> None:
    text = NET + conv(filters=6) + conv(filters=6) + section(name, **options)
    assert option(graph_of(text, "pjreddie").nodes[2], newer) == ignored
    assert option(graph_of(text, "alexeyab").nodes[2], newer) != ignored
    assert "warning foreign-option" in codes(text, "pjreddie")
    assert "warning foreign-option" not in codes(text, "alexeyab")


def test_pjreddie_adds_one_layer() -> None:
    text = NET + conv(filters=6) * 3 + section("shortcut", from_="0,1")
    assert graph_of(text, "pjreddie").nodes[3].sources == (2, 0)
    assert graph_of(text, "alexeyab").nodes[3].sources == (2, 0, 1)
    assert codes(text, "pjreddie") == ["warning foreign-option"]


def test_reorg_with_extra_puts_out_a_vector_at_pjreddie_only() -> None:
    text = NET + conv(filters=4) + section("reorg", stride=2, extra=7)
    assert graph_of(text, "pjreddie").nodes[1].output == (4 * 32 * 32 + 7, 1, 1, False)
    assert graph_of(text, "alexeyab").nodes[1].output == (16, 16, 16, True)


@pytest.mark.parametrize(
    ("name", "options", "home"),
    [
        ("deconvolutional", {}, "pjreddie"),
        ("l2norm", {}, "pjreddie"),
        ("logistic", {}, "pjreddie"),
        ("implicit_add", {}, "pytorch"),
        ("route_lhalf", {"layers": 0}, "pytorch"),
        ("implicit", {}, "alexeyab"),
        ("conv_lstm", {"pad": 1}, "alexeyab"),
        ("history", {}, "alexeyab"),
    ],
)
def test_sections_that_one_program_has(name: str, options: dict[str, object], home: str) -> None:
    text = NET + conv(filters=4) + section(name, **options)
    for dialect in DIALECTS:
        found = [each for each in codes(text, dialect) if each.endswith("foreign-section")]
        assert found == (
            [] if dialect == home else ["error foreign-section" if dialect == "hank-ai" else "note foreign-section"]
        )


@pytest.mark.parametrize("dialect", ["alexeyab", "pjreddie"])
def test_gates_are_told_of_where_their_order_is_a_choice(dialect: str) -> None:
    assert codes(NET + section("lstm"), dialect) == (["note gate-order"] if dialect == "alexeyab" else [])


@pytest.mark.parametrize(
    ("dialect", "found"),
    [("alexeyab", ["note"]), ("hank-ai", ["note"]), ("pjreddie", []), ("pytorch", [])],
)
def test_the_epsilon_is_told_of_where_it_is_a_choice(dialect: str, found: list[str]) -> None:
    assert codes(NET + conv(batch_normalize=1), dialect) == [f"{each} batch-norm-epsilon" for each in found]


# -- sizes ----------------------------------------------------------------------------------------------------------------

ABSURD = [
    (conv(filters=1000000000), "out-of-range", "filters"),
    (conv(size=99999), "out-of-range", "size"),
    (conv(size=2147483647), "out-of-range", "size"),
    (conv(stride=-1), "out-of-range", "stride"),
    (conv(padding=70000), "out-of-range", "padding"),
    (conv(filters=-5), "out-of-range", "filters"),
    (conv(groups=0), "out-of-range", "groups"),
    (conv(dilation=100000), "out-of-range", "dilation"),
    (conv(filters=99999999999999999999), "out-of-range", "32 bits"),
    (conv(filters=1000000), "too-large", "1,024,000,000 outputs"),
    (conv(size=20001, padding=10000, filters=100), "too-large", "outputs|weights"),
    (section("connected", output=1000000, activation="linear"), "too-large", "3,073,000,000 weights"),
    (section("local", filters=10000, size=9), "too-large", "weights"),
    (section("upsample", stride=60000), "too-large", "outputs"),
    (section("upsample", stride=99999), "out-of-range", "stride"),
    (section("maxpool", size=2, stride=99999), "out-of-range", "stride"),
    (section("maxpool", size=40000, padding=65536), "too-large", "1,961,321,283 outputs"),
    (section("implicit", filters=1000000, atoms=1000000), "too-large", "outputs"),
    (section("deconvolutional", stride=60000), "too-large", "outputs"),
    (section("rnn", hidden=1000000), "too-large", "weights"),
    (section("crnn", hidden=100000, output=1000, pad=1), "too-large", "weights"),
    (section("gru", output=100000), "too-large", "weights"),
    (section("history", history_size=100000), "out-of-range", "history_size"),
    (section("normalization", size=100000), "out-of-range", "size"),
    (conv(filters=6) + section("yolo", classes=100000000, anchors="1,1"), "out-of-range", "classes"),
    (conv(filters=6) + section("yolo", classes=1, num=1000000), "out-of-range", "num"),
    (section("detection", side=100000, coords=4), "out-of-range", "side"),
    (section("softmax", groups=2147483647), "groups-divide", "do not divide"),
    (section("crop", crop_width=60000), "crop-size", "32 pixels"),
    (section("reorg3d", stride=65536), "reorg-divide", "does not divide"),
    (section("route", layers=",".join(["0"] * 20_000)), "out-of-range", "20,000 values"),
]


@pytest.mark.parametrize(("text", "code", "words"), ABSURD, ids=[f"{number} {each[1]}" for number, each in enumerate(ABSURD)])
def test_absurd_sizes_are_refused_at_once(text: str, code: str, words: str) -> None:
    start = time.process_time()
    graph, diagnostics = check(NET + text, "pjreddie" if "deconv" in text else "alexeyab")
    assert time.process_time() - start < 1
    assert graph is None
    errors = [each for each in diagnostics if each.severity == "error" and each.code == code]
    assert errors
    assert any(word in errors[0].message for word in words.split("|"))


def test_the_weights_of_all_layers_together_have_a_limit() -> None:
    layer = section("connected", output=16000, activation="linear")
    graph, diagnostics = check(NET + layer * 6)
    assert graph is None
    (found,) = diagnostics
    assert (found.code, found.label.span.line) == ("too-large", 20)
    # 3,072 + 1 numbers for each output of the first, 16,000 + 1 for each of the others.
    assert f"{16_000 * (3_073 + 5 * 16_001):,} weights in all" in found.message
    assert graph_of(NET + layer * 5).parameters == 16_000 * (3_073 + 4 * 16_001)


@pytest.mark.parametrize("count", [20_000, 20_001])
def test_many_layers(count: int) -> None:
    start = time.process_time()
    graph, diagnostics = check(NET + "[dropout]\n" * count)
    assert time.process_time() - start < 10
    assert [each.code for each in diagnostics] == ([] if count == 20_000 else ["too-many-layers"])
    assert (graph is None) == (count > 20_000)


@pytest.mark.parametrize(
    "line",
    [
        "filters=" + "9" * 1_000_000,
        "activation=" + "a" * 1_000_000,
        "a" * 1_000_000 + "=1",
        "[" + "a" * 1_000_000,
        "anchors=" + "1," * 500_000,
    ],
    ids=["number", "word", "option", "section", "list"],
)
def test_endless_lines_take_no_time(line: str) -> None:
    start = time.process_time()
    diagnostics = check(NET + "[convolutional]\n" + line + "\n")[1]
    assert time.process_time() - start < 2
    assert diagnostics
    assert all(len(each.message) < 200 for each in diagnostics)


# -- references -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("2", "names the layer itself"),
        ("3", "names layer 3, but this is layer 2"),
        ("2147483647", "names layer 2147483647"),
        ("-3", "is layer -1, before the first"),
        ("-2147483648", "before the first"),
        ("0,1,2", "names the layer itself"),
    ],
)
@pytest.mark.parametrize(
    ("name", "key"), [("route", "layers"), ("shortcut", "from"), ("sam", "from"), ("scale_channels", "from")]
)
def test_bad_references(name: str, key: str, reference: str, words: str) -> None:
    if name not in ("route", "shortcut"):
        reference = reference.split(",")[-1]  # of the others, Darknet reads one number
    graph, diagnostics = check(NET + conv() * 2 + f"[{name}]\n{key}={reference}\n")
    assert graph is None
    (found,) = diagnostics
    assert (found.code, found.label.span.text) == ("bad-reference", reference)
    assert words in found.message
    assert "from 0 to 1" in found.help
    assert "from -1 to -2" in found.help


@pytest.mark.parametrize(("reference", "sources"), [("0", (0,)), ("-1", (1,)), ("-2", (0,)), ("1,-2", (1, 0)), ("+1", (1,))])
def test_good_references(reference: str, sources: tuple[int, ...]) -> None:
    assert graph_of(NET + conv() * 2 + f"[route]\nlayers={reference}\n").nodes[2].sources == sources


def test_what_reads_a_wrong_layer_is_not_wrong_itself() -> None:
    text = NET + conv(filters=4) + conv(groups=3) + conv() * 20 + section("route", layers="-1,0") + conv()
    assert codes(text) == ["error groups-divide"]


def test_share_index_resolves_as_other_references_do() -> None:
    graph = graph_of(NET + conv(filters=3) * 2 + conv(filters=3, share_index=-1) + conv(filters=3, share_index=0))
    assert [node.shares for node in graph.nodes] == [None, None, 1, 0]
    assert [node.parameters for node in graph.nodes] == [12, 12, 0, 0]


# -- size given from outside ----------------------------------------------------------------------------------------------


def test_the_size_can_be_given_from_outside() -> None:
    text = NET + conv(stride=2, size=3, pad=1)
    graph = graph_of(text, width=64, height=48, channels=1)
    assert graph.input == (1, 48, 64, True)
    assert graph.nodes[0].output == (1, 24, 32, True)
    assert graph_of(text, width=64).input == (3, 32, 64, True)
    assert graph_of(text, width=None, height=None).input == (3, 32, 32, True)


def test_a_size_given_from_outside_cures_a_cfg_without_one() -> None:
    assert codes("[net]\nchannels=3\n[avgpool]\n") == ["error no-input"]
    assert codes("[net]\nchannels=3\n[avgpool]\n", width=32, height=32) == []


@pytest.mark.parametrize("size", [{"width": 0}, {"height": -32}, {"width": 65_537}, {"height": 10**12}])
def test_an_impossible_size_is_refused(size: dict[str, int]) -> None:
    ((name, value),) = size.items()
    with pytest.raises(UsageError, match=f"a {name} of {value} was asked for"):
        check(NET + "[avgpool]\n", **size)


def test_a_size_given_from_outside_is_checked_as_the_cfg_is() -> None:
    text = NET + section("maxpool", stride=2) + conv(filters=6) + yolo(1)
    assert codes(text, width=33) == ["warning input-multiple"]
    assert codes(text, width=36, height=34) == []


# -- the way to a graph that runs -----------------------------------------------------------------------------------------


def test_load_gives_the_graph_and_what_does_not_stop_it() -> None:
    graph, diagnostics = load(Source("net.cfg", NET + "[convolutional]\nfoo=1\nbatch_normalize=1\n"))
    assert len(graph.nodes) == 1
    assert isinstance(graph.nodes[0].layer, Convolutional)
    assert graph.dialect is ALEXEYAB
    assert [each.code for each in diagnostics] == ["unknown-option", "batch-norm-epsilon"]


def test_load_raises_with_everything_there_is_to_say() -> None:
    text = NET + "[convolutional]\nfoo=1\nsize=0\nstride=0\n[nonsense]\n"
    with pytest.raises(CfgError, match=r"^net.cfg:7:6: `size` is 0; at least 1 is needed \(and 2 more\)") as caught:
        load(Source("net.cfg", text))
    assert [each.code for each in caught.value.diagnostics] == [
        "unknown-option",
        "out-of-range",
        "out-of-range",
        "unknown-section",
    ]
    assert caught.value.exit_code == 1


def test_one_error_is_alone() -> None:
    with pytest.raises(CfgError) as caught:
        load(Source("net.cfg", NET + "[Yolo]\n"))
    assert str(caught.value).splitlines() == [
        "net.cfg:5:2: there is no section `[Yolo]`",
        "  help: did you mean `[yolo]`? names are case-sensitive",
    ]


def test_a_stride_without_end() -> None:
    """Every pooling of a single pixel doubles it."""
    graph = graph_of(
        NET
        + section("maxpool", size=2, stride=2, padding=1) * 1100
        + conv(filters=18)
        + section("yolo", classes=1, num=3, anchors="1,1,1,1,1,1")
    )
    assert graph.stride == (2**31, 2**31)


def test_a_size_at_which_maps_do_not_meet() -> None:
    """The heads are not reached; the cause is named all the same, and the cure is not about vectors."""
    text = (ROOT / "cfg" / "yolo" / "yolov4.cfg").read_text()
    graph, diagnostics = check(text.replace("width=608", "width=418"))
    assert graph is None
    assert [each.help for each in diagnostics if each.code == "input-multiple"] == ["use 416"]
    cures = {each.help for each in diagnostics if each.code == "needs-image"}
    assert cures == {"make the maps that are joined there equal in width and height"}
    with pytest.raises(UsageError, match="the width of 417 is no multiple of the network's stride 32") as caught:
        load(Source("yolov4.cfg", text), width=417)
    assert caught.value.help == "use 416"


BARE = conv(filters=9) + "[yolo]\nnum=2\nanchors=1,2,3,4\n"
HEAD = conv(filters=18) + "[yolo]\nclasses=1\nnum=6\nmask=3,4,5\n"


@pytest.mark.parametrize(
    ("text", "code", "message", "cure"),
    [
        (HEAD + "anchors=1,2,3,4,5,6,7,8,9,10\n", "anchors-num", "anchor 5 half a pixel", "add the missing anchors"),
        (HEAD + "anchors=1,2,3,4\n", "anchors-num", "anchors 2 to 5 half a pixel", "add the missing anchors"),
        (HEAD + "anchors=" + "1,2," * 6 + "3,4\n", "anchors-num", "only the first 6", "set `num=7`"),
        (
            conv(filters=9) + "[yolo]\nnum=2\nanchors=1,2,3,4\n",
            "head-filters",
            "20 classes (as none are given)",
            "`filters=50`",
        ),
        (
            conv(filters=9) + "[yolo]\nnum=2\nanchors=1,2,3,4\n",
            "head-filters",
            "2 anchors (all, without `mask`)",
            "`filters=50`",
        ),
        (HEAD.replace("3,4,5", "3;4;5"), "cut-number", "Darknet reads 1 value and drops the rest", "with commas"),
        (conv(filters=9, clip="0,5"), "cut-number", "", "`clip=0.5`"),
        (conv(filters=9, clip="much"), "cut-number", "", "write a number"),
    ],
)
def test_cures_that_lead_somewhere(text: str, code: str, message: str, cure: str) -> None:
    found = [each for each in check(NET + text)[1] if each.code == code]
    assert any(message in f"{each.message} {each.label.text}" and cure in each.help for each in found)


def test_enlarged_maps_that_do_not_meet() -> None:
    text = NET + section("upsample", stride=2) + section("upsample", stride=2) + section("route", layers="0,1")
    assert codes(text) == ["warning route-size"]
