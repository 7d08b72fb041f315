"""How good a detector is: mean average precision by the rules of Darknet, PASCAL VOC or COCO.

>>> from cspdet.data.pictures import read_list
>>> from cspdet.evaluate import evaluate
>>> report = evaluate(detector, read_list("valid.txt"))  # doctest: +SKIP
>>> report.map, report.classes[0].average_precision  # doctest: +SKIP

Processes that share the pictures `collect` their part each; `merge` puts the parts together for `judge`.
"""

from cspdet.evaluate.accuracy import Accuracy, judge_classes, look_at_classes
from cspdet.evaluate.collect import Find, collect, difficult_labels
from cspdet.evaluate.evaluation import evaluate
from cspdet.evaluate.judge import PROTOCOLS, judge
from cspdet.evaluate.records import Collected, merge
from cspdet.evaluate.report import ClassReport, Report

__all__ = [
    "PROTOCOLS",
    "Accuracy",
    "ClassReport",
    "Collected",
    "Find",
    "Report",
    "collect",
    "difficult_labels",
    "evaluate",
    "judge",
    "judge_classes",
    "look_at_classes",
    "merge",
]
