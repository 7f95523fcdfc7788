"""Which published formats of questions with a right answer, or with two sides, are there?"""

from __future__ import annotations

from alignwright.files.formats import Format
from alignwright.files.published import bias, items
from alignwright.files.published.hosts import GIT, HUB

QUESTIONS: tuple[Format, ...] = (
    # ---- questions with choices ------------------------------------------------------------------
    Format(
        "MMLU (Hub)",
        ("choice",),
        ("question", "subject", "choices", "answer"),
        items.with_subject,
        f"{HUB}cais/mmlu",
        "no",
    ),
    Format(
        "MMLU (zip), ARC (table)",
        ("choice",),
        (),
        None,
        f"{GIT}hendrycks/test",
        "file",
        "tables without a header: question, choices, letter",
    ),
    Format(
        "CommonsenseQA (Hub), ARC (Hub)",
        ("choice",),
        ("question", "choices", "answerKey"),
        items.arc,
        f"{HUB}tau/commonsense_qa",
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
        f"{GIT}nyu-mll/BBQ",
        "file",
    ),
    Format(
        "true and false statements (Azaria and Mitchell; Geometry of Truth)",
        ("choice",),
        ("statement", "label"),
        items.statement,
        f"{GIT}balevinstein/Probes",
        "file",
    ),
    Format(
        "true and false statements, to be read as they are",
        ("labelled_text",),
        ("statement", "label"),
        items.labelled_statement,
        f"{GIT}balevinstein/Probes",
        "file",
    ),
    Format(
        "ETHICS, commonsense",
        ("choice",),
        ("label", "input", "is_short"),
        items.commonsense_morality,
        f"{GIT}hendrycks/ethics",
        "file",
    ),
    Format(
        "ETHICS, deontology",
        ("choice",),
        ("label", "scenario", "excuse"),
        items.deontology,
        f"{GIT}hendrycks/ethics",
        "file",
    ),
    Format(
        "ETHICS, justice and virtue",
        ("choice",),
        ("label", "scenario"),
        items.justice_or_virtue,
        f"{GIT}hendrycks/ethics",
        "file",
    ),
    Format(
        "ETHICS, utilitarianism",
        ("choice",),
        ("better", "worse"),
        items.pleasanter,
        f"{GIT}hendrycks/ethics",
        "file",
        "a table of two scenarios without a header",
    ),
    Format(
        "MoralChoice",
        ("choice",),
        ("context", "action1", "action2", "a1_death", "a2_death"),
        items.moralchoice,
        f"{GIT}ninodimontalcino/moralchoice",
        "file",
        "the action that breaks fewer rules; as many on both sides are a tie",
    ),
    Format(
        "TruthfulQA",
        ("choice",),
        ("Question", "Best Answer", "Best Incorrect Answer"),
        items.truthful,
        f"{GIT}sylinrl/TruthfulQA",
        "file",
    ),
    Format("BLiMP", ("choice",), ("sentence_good", "sentence_bad"), items.blimp, f"{GIT}alexwarstadt/blimp", "page"),
    Format(
        "HHH (BIG-bench)", ("choice",), ("input", "target_scores"), items.hhh_choice, f"{GIT}google/BIG-bench", "no"
    ),
    Format(
        "HHH (Hub)", ("choice",), ("input", "targets"), items.hhh_choice, f"{HUB}HuggingFaceH4/hhh_alignment", "page"
    ),
    Format(
        "corrects and incorrects (Constitutional AI)",
        ("choice",),
        ("prompt", "corrects", "incorrects"),
        items.corrected,
        f"{GIT}anthropics/ConstitutionalHarmlessnessPaper",
        "file",
    ),
    # ---- bias ------------------------------------------------------------------------------------
    Format(
        "BBQ, with its groups",
        ("bbq",),
        ("context", "question", "ans0", "ans1", "ans2", "label", "answer_info", "additional_metadata"),
        bias.bbq_groups,
        f"{GIT}nyu-mll/BBQ",
        "file",
    ),
    Format(
        "CrowS-Pairs",
        ("crows",),
        ("sent_more", "sent_less", "bias_type"),
        bias.crows_pair,
        f"{GIT}nyu-mll/crows-pairs",
        "file",
    ),
    Format(
        "WinoBias",
        ("winobias",),
        ("text",),
        bias.winobias,
        f"{GIT}uclanlp/corefBias",
        "file",
        "a sentence a line, with an occupation and its pronoun in brackets",
    ),
    # ---- traits ----------------------------------------------------------------------------------
    Format(
        "model-written evaluations (persona, advanced-ai-risk, nlp_survey)",
        ("trait",),
        ("question", "answer_matching_behavior", "answer_not_matching_behavior"),
        items.persona,
        f"{GIT}anthropics/evals",
        "file",
    ),
    Format(
        "corrects and incorrects (political typology)",
        ("trait",),
        ("prompt", "corrects", "incorrects"),
        items.corrected_trait,
        f"{GIT}anthropics/evals",
        "file",
    ),
    Format(
        "evaluation awareness",
        ("trait",),
        ("question", "positive", "negative"),
        items.contrasted,
        f"{GIT}marinomaria/sensitivity-analysis-evaluation-awareness",
        "file",
    ),
    # ---- problems --------------------------------------------------------------------------------
    Format("GSM8K", ("problems",), ("question", "answer"), None, f"{GIT}openai/grade-school-math", "file"),
    Format(
        "SVAMP",
        ("problems",),
        ("Body", "Question", "Answer"),
        items.svamp,
        f"{HUB}kinit/svamp",
        "page",
        "a copy's page; the authors' own does not list the columns",
    ),
)
