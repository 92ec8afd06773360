"""Export of a model to ONNX, node by node: the scores of converters were off by up to 0.49.

All arithmetic is in double precision. So a float32 input is compared with LightGBM's exact
thresholds, and a column of bytes or epoch seconds is centred without loss of precision.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cll.model.artifact import Predictor
from cll.types.arrays import Floats
from cll.types.errors import ConfigError

INPUT, PROBABILITY, ALERT = "features", "probability", "alert"
OPSETS = {"": 18, "ai.onnx.ml": 3}
IR_VERSION = 9  # supported by every recent runtime

# Bits of LightGBM's decision_type.
_CATEGORICAL, _DEFAULT_LEFT = 1, 2
_MISSING_NONE, _MISSING_NAN = 0, 2
_ZERO = float(np.float32(1e-35))  # LightGBM's kZeroThreshold


@dataclass(frozen=True)
class _Graph:
    """Nodes and constants of the ONNX graph; `add` returns the name of the new node's output."""

    library: Any
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def add(self, op: str, *inputs: str, output: str | None = None, **options: Any) -> str:
        output = output or f"{op}_{len(self.nodes)}"
        node = self.library.helper.make_node(op, list(inputs), [output], **options)
        self.nodes.append(node)
        return output

    def constant(self, value: NDArray[Any]) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(self.library.numpy_helper.from_array(value, name))
        return name

    def number(self, value: float) -> str:
        return self.constant(np.array(value, dtype=np.float64))

    def double(self, name: str) -> str:
        return self.add("Cast", name, to=self.library.TensorProto.DOUBLE)


def to_onnx(predictor: Predictor) -> bytes:
    """Return an ONNX model: `features` (rows, features; float32) to `probability` and `alert`."""
    try:
        import onnx  # noqa: PLC0415  an extra
    except ModuleNotFoundError:
        raise ConfigError("onnx: not installed; `uv sync --extra onnx` brings it.") from None
    graph = _Graph(onnx)
    parts, files = predictor.model.parts()
    if predictor.model_type == "lightgbm":
        margin = _trees(graph, [text.decode() for text in files.values()])
    elif predictor.model_type == "logistic":
        margin = _linear(graph, parts)
    else:
        raise ConfigError(
            f"estimator={predictor.model_type}: has no ONNX form; there are: lightgbm, logistic."
        )
    flat = graph.add("Reshape", margin, graph.constant(np.array([-1], dtype=np.int64)))
    scaled = graph.add("Mul", flat, graph.number(predictor.slope))
    odds = graph.add("Add", scaled, graph.number(predictor.intercept))
    chance = graph.add("Sigmoid", odds)
    graph.add("GreaterOrEqual", chance, graph.number(predictor.threshold), output=ALERT)
    graph.add("Cast", chance, output=PROBABILITY, to=onnx.TensorProto.FLOAT)
    return _serialized(graph, predictor)


def _serialized(graph: _Graph, predictor: Predictor) -> bytes:
    onnx, helper = graph.library, graph.library.helper
    kinds = onnx.TensorProto
    body = helper.make_graph(
        graph.nodes,
        "cll",
        [helper.make_tensor_value_info(INPUT, kinds.FLOAT, ["rows", len(predictor.names)])],
        [
            helper.make_tensor_value_info(PROBABILITY, kinds.FLOAT, ["rows"]),
            helper.make_tensor_value_info(ALERT, kinds.BOOL, ["rows"]),
        ],
        graph.constants,
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    model = helper.make_model(
        body, opset_imports=opsets, ir_version=IR_VERSION, producer_name="cll"
    )
    helper.set_model_props(
        model, {"model_id": predictor.model_id, "features": ",".join(predictor.names)}
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _linear(graph: _Graph, parts: Mapping[str, Any]) -> str:
    """Add imputing, missing indicators, scaling, clipping and the weighted sum."""

    def row(key: str) -> str:
        return graph.constant(np.array([c[key] for c in parts["columns"]], dtype=np.float64))

    def weights(key: str) -> str:
        return graph.constant(np.array([[c[key]] for c in parts["columns"]], dtype=np.float64))

    missing = graph.add("Or", graph.add("IsNaN", INPUT), graph.add("IsInf", INPUT))
    whole = graph.add("Where", missing, row("fill"), graph.double(INPUT))
    scaled = graph.add("Div", graph.add("Sub", whole, row("center")), row("scale"))
    if (clip := parts["clip"]) is not None:
        scaled = graph.add("Clip", scaled, graph.number(-clip), graph.number(clip))
    values = graph.add("MatMul", scaled, weights("weight"))
    gaps = graph.add("MatMul", graph.double(missing), weights("missing_weight"))
    return graph.add("Add", graph.add("Add", values, gaps), graph.number(parts["bias"]))


def _trees(graph: _Graph, texts: Sequence[str]) -> str:
    """Add all members' trees as one operator; the operator sums in double and returns float32."""
    bodies = [text.split("\nend of trees", 1)[0] for text in texts]
    blocks = [block for body in bodies for block in body.split("\nTree=")[1:]]
    columns: dict[str, Any] = {key: [] for key in _NODE}
    leaves: list[tuple[int, int, float]] = []
    for number, block in enumerate(blocks):
        tree = dict(line.split("=", 1) for line in block.splitlines()[1:] if "=" in line)
        splits = _splits(tree)
        for node in splits:
            for key, value in (("nodes_treeids", number), *zip(_NODE[1:], node, strict=True)):
                columns[key].append(value)
        values = np.array(tree["leaf_value"].split(), dtype=np.float64) / len(texts)
        inner = len(splits) - len(values)
        leaves += [(number, inner + i, value) for i, value in enumerate(values.tolist())]
    trees, ids, weights = zip(*leaves, strict=True)
    columns["nodes_values_as_tensor"] = _tensor(graph, np.array(columns.pop("nodes_values")))
    score = graph.add(
        "TreeEnsembleRegressor",
        _tiny_to_zero(graph),
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function="SUM",
        post_transform="NONE",
        **columns,
        target_ids=[0] * len(ids),
        target_treeids=list(trees),
        target_nodeids=list(ids),
        target_weights_as_tensor=_tensor(graph, np.array(weights)),
    )
    return graph.double(score)


_NODE = (
    "nodes_treeids",
    "nodes_nodeids",
    "nodes_modes",
    "nodes_featureids",
    "nodes_values",
    "nodes_truenodeids",
    "nodes_falsenodeids",
    "nodes_missing_value_tracks_true",
)


def _tiny_to_zero(graph: _Graph) -> str:
    """Add LightGBM's preparation of a row: values of tiny magnitude become zero."""
    values = graph.double(INPUT)
    small = graph.add("LessOrEqual", graph.add("Abs", values), graph.number(_ZERO))
    return graph.add("Where", small, graph.number(0.0), values)


def _tensor(graph: _Graph, values: Floats) -> Any:
    return graph.library.numpy_helper.from_array(values, "values")


def _splits(tree: Mapping[str, str]) -> list[tuple[Any, ...]]:
    """Return a tree's nodes in the order of `_NODE`: inner ones first, then the leaves."""
    if tree["num_cat"] != "0" or tree.get("is_linear", "0") != "0":
        raise ConfigError("estimator=lightgbm: categorical or linear trees have no ONNX form.")
    leaves = int(tree["num_leaves"])
    inner = leaves - 1
    nodes: list[tuple[Any, ...]] = []
    if inner:
        feature, kind, left, right = (
            [int(v) for v in tree[key].split()]
            for key in ("split_feature", "decision_type", "left_child", "right_child")
        )
        bound = [float(v) for v in tree["threshold"].split()]
        for i in range(inner):
            # A negative child is a leaf: LightGBM writes leaf n as ~n.
            below = [child if child >= 0 else inner + ~child for child in (left[i], right[i])]
            missing_left = _missing_goes_left(kind[i], bound[i])
            nodes.append((i, "BRANCH_LEQ", feature[i], bound[i], *below, missing_left))
    return nodes + [(inner + i, "LEAF", 0, 0.0, 0, 0, 0) for i in range(leaves)]


def _missing_goes_left(kind: int, bound: float) -> int:
    """Return 1 if NaN goes left: by the default direction, or as zero if training had no NaN."""
    missing = kind >> 2
    if kind & _CATEGORICAL or missing not in {_MISSING_NONE, _MISSING_NAN}:
        raise ConfigError("estimator=lightgbm: splits by category or zero have no ONNX form.")
    return int(bound >= 0) if missing == _MISSING_NONE else int(bool(kind & _DEFAULT_LEFT))
