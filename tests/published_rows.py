"""Rows in the forms in which sets are published that no test may read whole: the columns are the
publishers', the words are ours."""

from __future__ import annotations

from typing import Any

Q, GOOD, BAD = "Is rain wet, or is it dry?", "It is wet.", "It is dry."
ASKED = {"role": "user", "content": Q}


def _said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


_WEBGPT = {
    "question": {"dataset": "eli5", "id": "1", "full_text": Q},
    "quotes_0": {},
    "quotes_1": {},
    "tokens_0": {},
    "tokens_1": {},
}
_WEBGPT |= {"answer_0": BAD, "answer_1": GOOD, "score_0": -0.5, "score_1": 0.5}
_ALPACA = {"instruction": Q, "output_1": GOOD, "output_2": BAD, "generator_1": "x", "generator_2": "y", "dataset": "d"}
_ALPACA |= {"annotator": "gpt", "preference": 1.1}
_DIALOGUES = {"prompt": Q, "chosen": [ASKED, _said(GOOD)], "rejected": [ASKED, _said(BAD)]}
_TULU = {"id": "1", "source": "s", **_DIALOGUES}
_DOLLY = {"instruction": "Is rain wet,", "context": "or is it dry?", "response": GOOD, "category": "open_qa"}
_BEAVER = {"prompt": Q, "response": GOOD, "category": {"animal_abuse": False}, "is_safe": True}
_HHH = {"input": Q, "targets": {"choices": [GOOD, BAD], "labels": [1, 0]}}
_ROBOTS = {"prompt": Q, "prompt_id": "1", "messages": [ASKED, _said(GOOD)], "category": "Open QA"}
_CHOICES = {"label": ["A", "B"], "text": [BAD, GOOD]}

PAIR = {"prompt": Q, "good": GOOD, "bad": BAD}
"""What every pair below says."""
ROWS: dict[tuple[str, str], list[dict[str, Any]]] = {
    ("WebGPT comparisons", "pairs"): [_WEBGPT, _WEBGPT | {"score_0": 0.0, "score_1": 0.0}],
    ("WebGPT comparisons", "prompts"): [_WEBGPT],
    ("RM-Bench", "pairs"): [
        {
            "id": 7,
            "prompt": Q,
            "chosen": [GOOD, "Wet.", "**Wet.**"],
            "rejected": [BAD, "Dry.", "**Dry.**"],
            "domain": "chat",
        }
    ],
    ("JudgeBench", "pairs"): [
        {
            "pair_id": "1",
            "source": "s",
            "question": Q,
            "response_model": "m",
            "response_A": BAD,
            "response_B": GOOD,
            "label": "B>A",
        }
    ],
    ("Auto-J", "pairs"): [
        {"scenario": "chat", "prompt": Q, "response 1": GOOD, "response 2": BAD, "label": 0},
        {"scenario": "chat", "prompt": Q, "response 1": GOOD, "response 2": BAD, "label": 2},
    ],
    ("AlpacaEval annotations", "pairs"): [_ALPACA, _ALPACA | {"preference": 1.5}, _ALPACA | {"preference": None}],
    ("AlpacaEval annotations", "votes"): [
        _ALPACA,
        _ALPACA | {"annotator": 3, "preference": 1.5},
        _ALPACA | {"annotator": 4, "preference": None},
    ],
    ("UltraFeedback-binarized", "pairs"): [
        {**_DIALOGUES, "prompt_id": "1", "messages": _DIALOGUES["chosen"], "score_chosen": 9.0, "score_rejected": 4.0},
        {**_DIALOGUES, "prompt_id": "2", "messages": _DIALOGUES["chosen"], "score_chosen": 8.0, "score_rejected": 8.0},
    ],
    ("Tulu 3 preferences", "pairs"): [_TULU],
    ("HHH (BIG-bench)", "pairs"): [{"input": Q, "target_scores": {BAD: 0, GOOD: 1}}],
    ("HHH (BIG-bench)", "choice"): [{"input": Q, "target_scores": {BAD: 0, GOOD: 1}}],
    ("HHH (Hub)", "pairs"): [_HHH],
    ("HHH (Hub)", "choice"): [_HHH],
    ("BeaverTails", "pairs"): [_BEAVER, _BEAVER | {"response": BAD, "is_safe": False}],
    ("BeaverTails", "conversations"): [_BEAVER, _BEAVER | {"response": BAD, "is_safe": False}],
    ("BeaverTails", "refusal"): [_BEAVER],
    ("BeaverTails", "prompts"): [_BEAVER],
    ("MMLU (Hub)", "choice"): [{"question": Q, "subject": "weather", "choices": [BAD, GOOD], "answer": 1}],
    ("CommonsenseQA (Hub), ARC (Hub)", "choice"): [
        {"id": "1", "question": Q, "question_concept": "rain", "choices": _CHOICES, "answerKey": "B"},
        {"id": "2", "question": Q, "question_concept": "rain", "choices": _CHOICES, "answerKey": ""},
    ],
    ("CommonsenseQA (its own file)", "choice"): [
        {
            "answerKey": "B",
            "id": "1",
            "question": {
                "question_concept": "rain",
                "choices": [{"label": "A", "text": BAD}, {"label": "B", "text": GOOD}],
                "stem": Q,
            },
        }
    ],
    ("BLiMP", "choice"): [
        {
            "sentence_good": GOOD,
            "sentence_bad": BAD,
            "field": "syntax",
            "linguistics_term": "x",
            "UID": "u",
            "pairID": "0",
        }
    ],
    ("SVAMP", "problems"): [
        {"ID": "1", "Body": "There are 5 drops.", "Question": "How many are left?", "Answer": 3.0, "Type": "x"}
    ],
    ("CatQA", "refusal"): [{"Category": "c", "Subcategory": "s", "Question": Q}],
    ("CatQA", "prompts"): [{"Category": "c", "Subcategory": "s", "Question": Q}],
    ("AART", "refusal"): [{"region_specific_topic": "t", "region": "r", "prompt": Q, "crime": "c", "use_case": "u"}],
    ("AART", "prompts"): [{"region_specific_topic": "t", "region": "r", "prompt": Q, "crime": "c", "use_case": "u"}],
    ("FollowBench", "prompts"): [
        {
            "example_id": 1,
            "category": "mixed",
            "source": "s",
            "level": level,
            "instruction": f"{Q} {level}",
            "target": "",
        }
        for level in (0, 1)
    ],
    ("Dolly", "prompts"): [_DOLLY],
    ("Dolly", "conversations"): [_DOLLY],
    ("No Robots", "prompts"): [_ROBOTS],
    ("No Robots", "conversations"): [_ROBOTS],
}

POLIS_VOTES = """participant,group-id,n-comments,n-votes,n-agree,n-disagree,0,1,2
7,0,0,2,1,1,1,-1,
8,1,0,3,1,0,1,0,0
9,,0,1,0,1,-1,,
"""
CCAI_VOTES = (
    POLIS_VOTES.replace(",1,-1,\n", ",1.0,-1.0,\n")
    .replace(",1,0,0\n", ",1.0,0.0,0.0\n")
    .replace(",-1,,\n", ",-1.0,,\n")
)
POLIS_COMMENTS = """timestamp,datetime,comment-id,author-id,agrees,disagrees,moderated,comment-body
1,Mon,0,1,2,1,1,Rain is wet.
2,Mon,1,1,0,1,1,Rain is dry.
3,Mon,2,1,0,0,-1,
"""
