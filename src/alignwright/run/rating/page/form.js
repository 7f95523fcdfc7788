"use strict";
(() => {
  // 1. What is asked (texts only, never markup), and the answers so far: question -> [choice, reason].
  const form = JSON.parse(document.getElementById("questions").textContent);
  const questions = new Map(form.questions.map((question) => [question.id, question]));
  const order = [...questions.keys()];
  const store = "alignwright.rate." + form.form;
  const choices = ["a", "b", "tie", "cannot say"];
  const answers = new Map();
  let at = 0, moved = false, kept = true, unsent = false;
  const part = (id) => document.getElementById(id);
  const buttons = [...document.querySelectorAll("[data-choice]")];

  const isAnswer = (row) => Array.isArray(row) && questions.has(row[0]) && choices.includes(row[1]) && typeof row[2] === "string";
  const remember = () => {
    try {
      localStorage.setItem(store, JSON.stringify([...answers].map(([id, answer]) => [id, ...answer])));
      kept = true;
    } catch { kept = false; }
  };
  const recall = () => {
    try {
      const rows = JSON.parse(localStorage.getItem(store) ?? "[]");
      for (const row of Array.isArray(rows) ? rows : []) if (isAnswer(row)) answers.set(row[0], [row[1], row[2]]);
    } catch { kept = false; }
  };
  const keeps = () => { // a key of its own: what a page that is just closing wrote may arrive after this one has begun
    try { localStorage.setItem(store + ".keeps", ""); localStorage.removeItem(store + ".keeps"); } catch { kept = false; }
  };
  const say = (words) => { part("notice").textContent = words; };
  const unanswered = (from) => {
    const places = [...order.keys()];
    return [...places.slice(from), ...places.slice(0, from)].find((place) => !answers.has(order[place])) ?? order.length;
  };

  // 2. One question at a time.
  const words = (element, text) => { element.textContent = text; };
  const turn = (message) => {
    const box = document.createElement("div"), role = document.createElement("p"), text = document.createElement("div");
    role.className = "role"; text.className = "words"; text.dir = "auto";
    words(role, message.role); words(text, message.content);
    box.append(role, text);
    return box;
  };
  const show = (focus) => {
    const over = at >= order.length, answered = answers.size;
    part("asked").hidden = over; part("done").hidden = !over;
    part("bar").max = order.length; part("bar").value = answered;
    words(part("count"), answered + " of " + order.length + " answered");
    words(part("download"), "Download " + answered + (answered === 1 ? " answer" : " answers"));
    part("download").disabled = answered === 0;
    part("back").disabled = at === 0;
    part("next").disabled = over;
    const [choice, reason] = over ? ["", ""] : answers.get(order[at]) ?? ["", ""];
    for (const button of buttons) {
      button.disabled = over;
      button.setAttribute("aria-pressed", String(button.dataset.choice === choice));
    }
    if (!over) {
      const question = questions.get(order[at]);
      words(part("place"), "Question " + (at + 1) + " of " + order.length);
      part("prompt").replaceChildren(...question.prompt.map(turn));
      words(part("reply1"), question.a); words(part("reply2"), question.b);
      part("reason").value = reason;
    }
    if (focus) { scrollTo(0, 0); part(over ? "end" : "place").focus({ preventScroll: true }); }
    if (!kept) say("This browser keeps nothing for this page: download your answers before you close it.");
  };
  const wellFormed = (text) => new TextDecoder().decode(new TextEncoder().encode(text)).trim();
  const answer = (choice) => {
    if (at >= order.length) return;
    answers.set(order[at], [choice, wellFormed(part("reason").value)]);
    unsent = moved = true; say(""); remember();
    at = at + 1 < order.length && !answers.has(order[at + 1]) ? at + 1 : unanswered(at + 1);
    show(true);
  };
  const go = (step) => { moved = true; at = Math.min(Math.max(at + step, 0), order.length); say(""); show(true); };

  // 3. A line an answer, with what was shown; a checksum (CRC-32) tells a line that was damaged or edited.
  const checksum = (texts) => {
    let crc = -1;
    for (const byte of new TextEncoder().encode(texts.join("\u0000"))) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1));
    }
    return (~crc >>> 0).toString(16).padStart(8, "0");
  };
  const row = (id) => {
    const [choice, reason] = answers.get(id), { prompt, a, b } = questions.get(id), { rater, group } = form;
    return { question: id, prompt, a, b, choice, reason, rater, group, checksum: checksum([id, choice, reason, rater, group]) };
  };
  const download = () => {
    if (!answers.size) return;
    const lines = order.filter((id) => answers.has(id)).map((id) => JSON.stringify(row(id)) + "\n");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(lines, { type: "application/jsonl" }));
    link.download = form.file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    unsent = false;
    say(answers.size + " answers are in " + form.file + ".");
  };
  const goOn = async (file) => {
    const lines = (await file.text()).split("\n").filter((line) => line.trim());
    const rows = lines.map((line, place) => {
      let value;
      try { value = JSON.parse(line); } catch { throw new Error("line " + (place + 1) + " is no JSON"); }
      const entry = [value?.question, value?.choice, value?.reason];
      if (!isAnswer(entry)) throw new Error("line " + (place + 1) + " is no answer to a question of this page");
      if (value.checksum !== checksum([...entry, form.rater, form.group])) throw new Error("line " + (place + 1) + " was changed since it was written");
      return entry;
    });
    const fresh = rows.filter(([id]) => !answers.has(id));
    for (const [id, choice, reason] of fresh) answers.set(id, [choice, reason]);
    remember();
    at = unanswered(0); show(true);
    say(fresh.length + " answers taken over; " + (rows.length - fresh.length) + " questions had an answer here already, which stays.");
  };

  // 4. Keys are those of the terminal; a key held down answers once, and nothing while a text is written.
  const keys = { 1: () => answer("a"), 2: () => answer("b"), t: () => answer("tie"), c: () => answer("cannot say"),
    b: () => go(-1), n: () => go(1), d: download, r: () => part("reason").focus() };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target === part("reason")) {
      if (event.key === "Escape") part("place").focus();
      return;
    }
    const does = Object.hasOwn(keys, event.key.toLowerCase()) ? keys[event.key.toLowerCase()] : null;
    if (!does) return;
    event.preventDefault();
    if (!event.repeat) does();
  });
  for (const button of buttons) button.addEventListener("click", () => answer(button.dataset.choice));
  part("back").addEventListener("click", () => go(-1));
  part("next").addEventListener("click", () => go(1));
  part("download").addEventListener("click", download);
  part("reason").addEventListener("input", () => {
    const given = answers.get(order[at]);
    if (given) { answers.set(order[at], [given[0], wellFormed(part("reason").value)]); unsent = true; remember(); }
  });
  part("earlier").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    try { if (file) await goOn(file); } catch (error) { say(file.name + ": " + error.message + ". Nothing was taken over."); }
    event.target.value = "";
  });
  addEventListener("storage", (event) => {
    if (event.key !== store) return;
    recall();
    if (!moved) at = unanswered(0);
    show(false);
  });
  addEventListener("beforeunload", (event) => { if (!kept && unsent) event.preventDefault(); });

  recall();
  keeps();
  at = unanswered(0);
  show(false);
})();
