/* What every network says: a card for each, with a bar for each class, and one sentence for all. */

const MOST_BARS = 12; // classes; of more than these the likeliest are shown

function answerCard(network) {
  const answer = element("p", { class: "answer" }), note = element("p", { class: "small-note" });
  const bars = element("ol", { class: "bars" }), few = network.classes.length <= MOST_BARS;
  const rows = Array.from({ length: few ? network.classes.length : MOST_BARS }, (_, i) => {
    const bar = element("span", { class: "bar-fill" }), share = element("span", { class: "num share" });
    const label = element("span", { class: "bar-name" }, few ? network.classes[i] : "");
    const row = element("li", {}, label, element("span", { class: "bar-track" }, bar), share);
    return { row, bar, share, label };
  });
  bars.append(...rows.map(({ row }) => row));
  const card = element("article", { class: `answer-card c${network.series}` },
    element("h3", {}, named(network)), answer, note, bars);

  /* others: names of the networks that answer otherwise, where most do. */
  card.show = ({ probabilities, best }, others, warning) => {
    const differs = others.length > 0;
    const order = probabilities.map((_, i) => i);
    if (!few) order.sort((a, b) => probabilities[b] - probabilities[a]);
    rows.forEach(({ row, bar, share, label }, n) => {
      const i = order[n];
      bar.style.transform = `scaleX(${probabilities[i]})`;
      share.textContent = percent(probabilities[i]);
      if (!few) label.textContent = network.classes[i];
      row.classList.toggle("best", i === best);
    });
    answer.textContent = network.classes[best];
    answer.classList.toggle("long", network.classes[best].length > 8);
    card.classList.toggle("differs", differs);
    note.textContent = [differs ? `≠ ${others.length > 3 ? counted(others.length, "other") : listed(others)}` : "", warning].filter(Boolean).join(" ");
  };
  card.empty = reason => {
    answer.textContent = "–";
    note.textContent = reason;
    card.classList.remove("differs");
    rows.forEach(({ row, bar, share }) => {
      bar.style.transform = "scaleX(0)";
      share.textContent = "";
      row.classList.remove("best");
    });
  };
  return card;
}

/* "All 4 say 7." or "3 say 7; avg says 1." answers: [{name, answer}]; truth: of a test image, else "". */
function verdict(answers, truth) {
  const groups = new Map();
  for (const { name, answer } of answers) groups.set(answer, [...(groups.get(answer) ?? []), name]);
  const sorted = [...groups].sort((a, b) => b[1].length - a[1].length);
  const say = ([answer, names], alone) => alone
    ? `${names.length === 1 ? names[0] + " says" : names.length === 2 ? "Both say" : `All ${names.length} say`} ${answer}`
    : `${names.length > 3 ? names.length : listed(names)} ${names.length > 1 ? "say" : "says"} ${answer}`;
  const told = sorted.map(group => say(group, sorted.length === 1)).join("; ");
  return `${told}.${truth ? ` The test image is labelled ${truth}.` : ""}`;
}

const listed = names => (names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`);

/* The answer that most networks give; where two are as frequent, none. */
function majority(answers) {
  const counts = new Map();
  for (const { answer } of answers) counts.set(answer, (counts.get(answer) ?? 0) + 1);
  const sorted = [...counts].sort((a, b) => b[1] - a[1]);
  return sorted.length > 1 && sorted[0][1] === sorted[1][1] ? null : sorted[0]?.[0];
}
