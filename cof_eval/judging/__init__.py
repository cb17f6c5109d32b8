"""A judge card applied: first the stop, then the rules, then a served LLM for the answers that the rules cannot decide.

A judge that cannot be reached, is cut short, or says something else than a label leaves the answer unscored with the
reason; no verdict is ever invented.
"""

from .card import Card, card_folder, known_cards, load_card
from .judge import Judge, JudgeClient, judge_settings
from .many import first_failure, judge_many
from .pairs import Pair, load_pairs, pairs_folder
from .served import PATIENCE, ServedJudge, start_judge

__all__ = [
    "PATIENCE",
    "Card",
    "Judge",
    "JudgeClient",
    "Pair",
    "ServedJudge",
    "card_folder",
    "first_failure",
    "judge_many",
    "judge_settings",
    "known_cards",
    "load_card",
    "load_pairs",
    "pairs_folder",
    "start_judge",
]
