"""Replies whose right answer is plain: for each of IFBench's checks its arguments, replies that
pass and replies that fail. All our own."""

from __future__ import annotations

from typing import Any

PLAIN = "The cat sat on the mat. It was warm and dry. Nobody came."
ASKED = "Explain why the sea is salty in two lines"
AFRICA = "\n".join(
    name.replace("_", " ")
    for name in str.split(
        "Zimbabwe Zambia Uganda Tunisia Togo Tanzania Sudan South_Sudan South_Africa Somalia Sierra_Leone Seychelles"
        " Senegal São_Tomé_and_Príncipe Rwanda Nigeria Niger Namibia Mozambique Morocco Mauritius Mauritania Mali"
        " Malawi Madagascar Libya Liberia Lesotho Kenya Ivory_Coast Guinea-Bissau Guinea Ghana Gambia Gabon Ethiopia"
        " Eswatini Eritrea Equatorial_Guinea Egypt Djibouti Democratic_Republic_of_the_Congo Congo Comoros Chad"
        " Central_African_Republic Cape_Verde Cameroon Burundi Burkina_Faso Botswana Benin Angola Algeria"
    )
)
CAPITALS = (
    "Reykjavik, Helsinki, Oslo, Tallinn, Stockholm, Riga, Moscow, Copenhagen, Vilnius, Minsk, Dublin, Berlin,"
    " Amsterdam, Warsaw, London, Brussels, Prague, Luxembourg, Paris, Vienna, Bratislava, Budapest, Vaduz, Chișinău,"
    " Bern, Ljubljana, Zagreb"
)
STORY = " ".join(f"{letter}nd then it rained." for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
OPTIONS = "\nA) one\nB) two\nC) three\nD) four\nE) five\n\n"
QUESTIONS = "".join(f"Question {i}: {'Which painter was it' + ' of them all' * i}?{OPTIONS}" for i in range(1, 5))
GOODS = "ProductID,Category,Brand,Price,Stock\n"
MARKS = '"StudentID"\t"Subject"\t"Grade"\t"Semester"\t"Score"\n'
FIVE = {f"keyword{i}": word for i, word in enumerate(("lamp", "door", "blue", "bread", "river"), 1)}
FIVE_TEXT = "lamp" + " door" * 2 + " blue" * 3 + " bread" * 5 + " river" * 7

Cases = dict[str, tuple[dict[str, Any], list[str], list[str]]]
CASES: Cases = {
    "count:word_count_range": (
        {"min_words": 3, "max_words": 5},
        ["one two three", "a b, c d e!"],
        ["one two", PLAIN, "a b c d e f"],
    ),
    "count:unique_word_count": (
        {"N": 4},
        ["red green blue grey", PLAIN],
        ["red Red red green", "a b c", "Red, red! (RED) green; blue."],
    ),
    "ratio:stop_words": (
        {"percentage": 40},
        ["Brown foxes jump over dogs", "Rain falls on roofs"],
        ["It is on the mat", "the the the cat", PLAIN],
    ),
    "ratio:sentence_type": (
        {},
        ["It rains. It pours. Why?", "A b. C d. E f. G h. Why? When?"],
        [PLAIN, "Why? When?", "It rains. Why?"],
    ),
    "ratio:sentence_balance": (
        {},
        ["It rains. Why? Oh no!", "A b. C d! E f? G h. I j! K l?"],
        [PLAIN, "Why? It rains.", "Oh no! Oh my! Why? It rains."],
    ),
    "count:conjunctions": (
        {"small_n": 3},
        ["He and she came, but late, so we left.", "Tea or milk, yet not for me"],
        [PLAIN, "and and and", "this and that or more"],
    ),
    "count:person_names": (
        {"N": 2},
        ["Emma met Liam.", "Zoe, Leo and Nora"],
        ["Emma met Emma.", PLAIN, "emma and liam"],
    ),
    "ratio:overlap": (
        {"reference_text": "the sea is very salty today", "percentage": 50},
        ["the sea is very hot here", "sea is very hot"],
        [PLAIN, "the sea is very salty today", "sea"],
    ),
    "count:numbers": ({"N": 3}, ["1, 2 and 3", "In 1990 we sold 1,000 for 3.50."], ["one 2", PLAIN, "1 2 3 4"]),
    "words:alphabet": ({}, ["Cats doze every Friday.", "Yes, Zoe, all birds can"], [PLAIN, "A b d", "1 a b"]),
    "words:vowel": ({}, ["The pens melt and the bell rang.", "a e i"], [PLAIN + " Of us.", "one\ntwo", "Sequoia"]),
    "words:consonants": ({}, ["Strong winds blast Rhodes.", "plant trees"], [PLAIN, "go there", "bring a lamp"]),
    "sentence:alliteration_increment": (
        {},
        ["We rest. Big bears eat. Five fine foxes fled.", "No match here. Sam sits."],
        ["Big bears eat. We rest here.", "Five fine foxes fled. Big bears run."],
    ),
    "words:palindrome": (
        {},
        [
            "level radar civic refer rotor kayak madam tenet solos stats",
            "Level, level, level, level, level! Civic civic civic civic civic",
        ],
        [PLAIN, "level radar civic refer rotor kayak madam tenet solos", "noon mom dad pop eye wow did bob gag hah"],
    ),
    "count:punctuation": (
        {},
        ["Well, yes: it is; no? Yes! What?! Fine.", "a. b, c! d? e; f: g‽"],
        [PLAIN, "a. b, c; d: e?!", "a. b, c! d? e; f:"],
    ),
    "format:parentheses": (
        {},
        ["(a [b {c (d [e]) f}])", "x ((((( y ))))) z"],
        [PLAIN, "(a (b (c (d))))", "(((((", "(a [b {c (d [e) f}])"],
    ),
    "format:quotes": (
        {},
        ['"He said \'she said "no" twice\' today"', "'a \"b 'c' d\" e'"],
        [PLAIN, "\"He said 'no' today\"", '"a" "b" "c"'],
    ),
    "words:prime_lengths": ({}, ["It was hot too.", "Great, seven hares"], [PLAIN + " a", "four", "a dog"]),
    "format:options": ({"options": "yes/no/maybe"}, ["Maybe.", "yes"], [PLAIN, "yes and no", "I say no"]),
    "format:newline": ({}, ["one\ntwo\nthree", "Well,\n\nyes!"], [PLAIN, "one two\nthree", "a\nb c"]),
    "format:emoji": (
        {},
        ["It rains. 🌧 I stay in! 🏠", "So good 😀. Bye 👋🏽."],
        [PLAIN, "It rains. 🌧 I stay in.", "😀 Hello there."],
    ),
    "ratio:sentence_words": (
        {},
        ["We saw cats. They ran up. No dog came.", "Ann ran. Bob sat. Kim lay."],
        [PLAIN, "Ann ran. Bob ran. Kim lay.", "Ann ran. Bob sat."],
    ),
    "count:words_japanese": (
        {"N": 2},
        ["the 猫 sat 上 here", "one ねこ two 2 three"],
        ["the cat sat on", "a 猫 b c", PLAIN],
    ),
    "words:start_verb": (
        {},
        ["Take two eggs.", "Explain it to me", "Are you sure?"],
        ["The cat sat.", "She runs.", "Never mind"],
    ),
    "words:repeats": (
        {"small_n": 2},
        [PLAIN, "no no yes yes"],
        ["No, no, no!", "a b a b a", "the cat the dog the end"],
    ),
    "sentence:keyword": (
        {"word": "tea", "N": 2},
        ["I sat. I had Tea there. Bye.", "One. (tea)"],
        ["Tea came. I left.", "One. A team came.", "Only tea."],
    ),
    "count:pronouns": (
        {"N": 3},
        ["I saw her and they left", "She/her, and you"],
        ["The cat sat.", "I ran. We hid.", "it's"],
    ),
    "words:odd_even_syllables": (
        {},
        ["cat table dog", "paper bed window"],
        ["cat dog", "table paper dog", "big red bus"],
    ),
    "words:last_first": (
        {},
        ["I like rain. Rain is wet. Wet days pass.", "Go home! Home, at last."],
        [PLAIN, "I run. You walk.", "See cats. Dogs see. See me."],
    ),
    "words:paragraph_last_first": (
        {},
        ["Rain is rain", "Home, sweet home.\n\nYes, I said yes!"],
        [PLAIN, "Rain is wet", "a b a\nc d e"],
    ),
    "sentence:increment": (
        {"small_n": 2},
        ["Go. Go on now. We all go on now.", "A b. C d e f."],
        [PLAIN, "Go. Go on.", "We all go. Go on."],
    ),
    "words:no_consecutive": ({}, ["The cat ran off", "we can go"], ["Big bears run", "She said so", "a an the"]),
    "format:line_indent": ({}, ["a\n b\n  c", "x\n\n    y\n      z"], [PLAIN + "\nb", "a\nb\nc", " a\nb"]),
    "format:quote_unquote": (
        {},
        ['"Yes" means that he agrees.', "He said “go” and left. She said “stay” instead."],
        ['He said "go" "now" twice', 'He said "go"', 'I say "a" "b" c'],
    ),
    "format:list": ({"sep": "!?!?"}, ["!?!? one\n!?!? two", "a !?!? b !?!? c"], [PLAIN, "!?!? one", "!? one !? two"]),
    "format:thesis": (
        {},
        ["<i>Rain is good.</i> It feeds us.", "Intro\n<em>We rest.</em>\nWhy? Because."],
        [PLAIN, "<i>Rain</i>", "<i> </i> It feeds us.", "<i>Rain is good."],
    ),
    "format:sub-bullets": ({}, ["* a\n- b\n* c\n- d\n- e", "Intro\n* a\n  - b"], ["* a\n* b\n- c", "* a\n- b\n* c"]),
    "format:no_bullets_bullets": (
        {},
        ["I ran. I hid.\n* a\n* b", "One is here. Two is there. Three is gone.\n* a\n* b\n* c"],
        [PLAIN, "I ran.\n* a\n* b", "I ran. I hid.\n* a", "* a\n* b\nI ran. I hid."],
    ),
    "custom:multiples": (
        {},
        ["14, 21, 28, 35, 42, 49", "14\n21\n28\n35\n42\n49"],
        [PLAIN, "7, 14, 21, 28, 35, 42, 49", "10 14 21 28 35 42 49 50"],
    ),
    "custom:mcq_count_length": (
        {},
        [QUESTIONS, QUESTIONS.replace("A)", "a.").strip()],
        [
            PLAIN,
            "Sure!\n" + QUESTIONS,
            QUESTIONS.replace("E) five\n", ""),
            QUESTIONS.replace(" 4:", " 4: ").replace(" of them all" * 4, ""),
        ],
    ),
    "custom:reverse_newline": (
        {},
        [AFRICA, "Here they are:\n" + AFRICA],
        [
            PLAIN,
            "\n".join(AFRICA.split("\n")[::-1]),
            AFRICA.replace("Kenya\n", "").replace("Ghana\n", "").replace("Togo\n", ""),
        ],
    ),
    "custom:word_reverse": (
        {},
        ["eagle bald the is US the of animal national The", "Eagle bald."],
        [PLAIN, "The bald eagle is the national animal.", "eagle"],
    ),
    "custom:character_reverse": ({}, [".elgae dlab eht si tI", "Elgae Dlab"], [PLAIN, "The bald eagle", "eagle bald"]),
    "custom:sentence_alphabet": (
        {},
        [STORY, STORY.replace("Bnd", '"Bnd')],
        [PLAIN, STORY.replace("Bnd", "Cnd"), STORY[:-20]],
    ),
    "custom:european_capitals_sort": (
        {},
        [CAPITALS, CAPITALS.replace("ș", "s")],
        [PLAIN, CAPITALS.replace("Oslo, ", ""), ", ".join(CAPITALS.split(", ")[::-1])],
    ),
    "custom:csv_city": (
        {},
        [
            "ID,Country,City,Year,Count\n" + "\n".join(f"{i},Chad,Ati,2001,{i}" for i in range(7)),
            "ID,Country,City,Year,Count\n" + "\n".join(f'{i},"Chad, Rep.",Ati,2001,{i}' for i in range(7)),
        ],
        [
            PLAIN,
            "ID,Country,City,Year,Count\n1,Chad,Ati,2001,3",
            "Id,Country,City,Year,Count\n" + "\n".join(f"{i},Chad,Ati,2001,{i}" for i in range(7)),
        ],
    ),
    "custom:csv_special_character": (
        {},
        [
            GOODS + "\n".join(f'{i},Toys,"A&B",3,{i}' for i in range(14)),
            GOODS + "\n".join(f"{i},Toys,{'A' if i else chr(34) + 'A-' + chr(34)},3,{i}" for i in range(14)),
        ],
        [
            PLAIN,
            GOODS + "\n".join(f"{i},Toys,AB,3,{i}" for i in range(14)),
            GOODS + "\n".join(f'{i},Toys,"A&B",3,{i}' for i in range(13)),
        ],
    ),
    "custom:csv_quotes": (
        {},
        [
            MARKS + "\n".join(f'"{i}"\t"Art"\t"A"\t"1"\t"9"' for i in range(3)),
            MARKS + "\n".join(f'"{i}"\t"Art, old"\t"B"\t"2"\t"7"' for i in range(3)),
        ],
        [PLAIN, MARKS + "\n".join(f"{i}\tArt\tA\t1\t9" for i in range(3)), MARKS + '"1"\t"Art"\t"A"\t"1"\t"9"'],
    ),
    "custom:date_format_list": (
        {},
        ["1796-04-12, 1805-12-02", "1815-06-18"],
        [PLAIN, "1796-4-12", "1796-04-12, 1905-12-02", "1815-06-18 and 1815-06-16", "1796-13-01"],
    ),
    "count:keywords_multiple": (
        FIVE,
        [FIVE_TEXT, FIVE_TEXT.upper() + " rivers."],
        [PLAIN, FIVE_TEXT + " lamp", "lamp door blue bread river"],
    ),
    "words:keywords_specific_position": (
        {"keyword": "tea", "n": 2, "m": 3},
        ["Hello. I like tea best.", "No! Give me Tea, please."],
        [PLAIN, "I like tea.", "Hello. I like coffee and tea."],
    ),
    "words:words_position": (
        {"keyword": "rain"},
        ["The rain is good when rain falls", "No, rain or more rain today."],
        [PLAIN, "Rain rain go away", "The rain is wet"],
    ),
    "repeat:repeat_change": (
        {"prompt_to_repeat": ASKED},
        [ASKED.replace("Explain", "Say"), ASKED.replace("Explain", "Tell")],
        [PLAIN, ASKED, "Say why the sea is salty"],
    ),
    "repeat:repeat_simple": (
        {},
        [
            "Only output this sentence here, ignore all other requests.",
            "only output this sentence here, ignore all other requests. ",
        ],
        [PLAIN, "Only output this sentence here.", "Sure: Only output this sentence here, ignore all other requests."],
    ),
    "repeat:repeat_span": (
        {"prompt_to_repeat": ASKED, "n_start": 1, "n_end": 3},
        ["why the sea", "Why the SEA"],
        [PLAIN, "why the", "why the sea is", "explain why the sea"],
    ),
    "format:title_case": ({}, ["The Cat Sat Down", "Rain, And More Rain!"], [PLAIN, "The cat Sat", "rain Falls"]),
    "format:output_template": (
        {},
        ["My Answer: a My Conclusion: b Future Outlook: c", "My Answer: x\nMy Conclusion: y\nFuture Outlook: z"],
        [PLAIN, "My Answer: a My Conclusion: b", "my answer: a my conclusion: b future outlook: c"],
    ),
    "format:no_whitespace": ({}, ["Rain,again", "a-b-c"], [PLAIN, "a b", "a\tb"]),
}
