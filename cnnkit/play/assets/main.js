/* The page: one image at a time, computed by every network, shown everywhere. */

const PAUSE = 60; // milliseconds without a new point of a stroke, before the inside is drawn again

function started() {
  const content = unpacked(JSON.parse(byId("content").textContent));
  const networks = content.networks, able = networks.filter(network => !notComputable(network));
  const samples = content.samples.map(unpackedSample);
  const page = { networks: able, samples, results: new Map(), sample: -1, file: null, inside: able[0], chapter: "", digitCheck: content.digit_check };
  const cards = new Map(networks.map(network => [network, answerCard(network)]));
  byId("answers").append(...cards.values());
  networks.filter(network => !able.includes(network)).forEach(network => cards.get(network).empty(notComputable(network)));

  const seen = element("div", { class: "seen" });
  const pad = drawingPad(() => { page.sample = -1; page.file = null; answer(); });
  const steps = samples.length ? stepper(samples, showSample) : null;
  const files = fileInput(async file => {
    try {
      page.file = await pictureOfFile(file);
      page.sample = -1;
      pad.show([], shownPicture(page.file, true));
      answer();
    } catch (error) {
      pad.show([]);
      Object.assign(page, { sample: -1, file: null });
      page.results.clear();
      steps?.tell(-1);
      nothing(error.message);
    }
  });
  byId("pad").append(pad.canvas,
    element("div", { class: "row" }, button("clear", pad.clear), button("take back", pad.undo)),
    seen);
  byId("more").append(...(steps ? [steps] : []), files, linkButton(() => ({ chapter: page.chapter, strokes: pad.strokes, sample: page.sample, file: page.file })));

  const inside = insideView(able);
  byId("steps").append(inside);
  if (able.length > 1)
    byId("which").append(buttons("network", able.map((network, i) => [i, network.name]), 0, i => { page.inside = able[i]; showInside(); }));

  const say = text => { byId("verdict").textContent = text; };
  const source = () => page.file ?? (pad.strokes.length ? pad.picture() : null);
  let waiting = 0;

  /* What each network sees; networks whose frames are alike share it. */
  function seenBy() {
    const picture = page.sample < 0 ? source() : null, made = new Map();
    return network => {
      const key = JSON.stringify(network.frame);
      if (!made.has(key)) made.set(key, page.sample >= 0 ? seenOfSample(samples[page.sample], network.frame) : framed(picture, network.frame, !page.file));
      return made.get(key);
    };
  }

  function answer() {
    page.results.clear();
    steps?.tell(page.sample);
    if (page.sample < 0 && !source()) return nothing(samples.length ? "Draw, or take a test image." : "Draw on the white square.");
    const view = seenBy();
    try {
      for (const network of able) page.results.set(network, { ...computed(network, view(network).image), warning: view(network).warning });
    } catch (error) {
      return nothing(error.message);
    }
    const answers = able.map(network => ({ name: network.name, answer: network.classes[page.results.get(network).best] }));
    const most = majority(answers);
    able.forEach((network, i) => {
      const result = page.results.get(network), { answer } = answers[i];
      const others = answer === most ? [] : answers.filter(one => one.answer !== answer).map(one => one.name);
      cards.get(network).show(result, others, result.warning);
    });
    const ofDigits = able.find(network => network.of_digits);
    const doubt = ofDigits && looksLikeNoDigit(page.digitCheck, page.results.get(ofDigits).image) ? " It looks like no digit." : "";
    say(verdict(answers, page.sample < 0 ? "" : samples[page.sample].truth) + doubt);
    showSeen();
    clearTimeout(waiting);
    waiting = setTimeout(showInside, PAUSE);
  }

  function showSample(number) {
    Object.assign(page, { sample: number, file: null });
    pad.show([], shownPicture(pictureOf(samples[number]), able[0].frame.as_is));
    answer();
  }

  function nothing(why) {
    able.forEach(network => cards.get(network).empty(""));
    say(why);
    fill(seen);
    clearTimeout(waiting);
    inside.empty();
  }

  function showSeen() {
    const { image } = page.results.get(able[0]);
    fill(seen, imageCanvas(image, able[0].frame.as_is, "what the network sees"),
      element("p", { class: "muted" }, seenInWords(able.length > 1 ? "the networks see" : "the network sees", able[0].frame, image.shape)));
  }

  function showInside() {
    const result = page.results.get(page.inside);
    if (result) inside.show(page.inside, result);
  }

  drawLesson(byId("chapter-list"), byId("chapters"), { ...content, samples, networks: able, current: () => page.results.get(page.inside) },
    chapter => (page.chapter = chapter));

  /* Answers strokes as if they had been drawn: those of a link. */
  page.draw = strokes => { pad.show(strokes); Object.assign(page, { sample: -1, file: null }); answer(); };

  function restore() {
    const state = stateOf(location.hash);
    if (samples[state.sample]) showSample(state.sample);
    else if (state.strokes.length) {
      page.draw(state.strokes);
    } else if (samples.length && page.sample < 0 && !source()) showSample(0);
    else answer();
    clearTimeout(waiting);
    showInside(); // before the chapter gets its place
    page.chapter = state.chapter ?? page.chapter;
    if (state.chapter) byId(`chapter-${state.chapter}`)?.scrollIntoView({ behavior: "instant" });
  }
  addEventListener("hashchange", () => /[=]/.test(location.hash) && restore());
  restore();
  return page;
}

function seenInWords(who, { crop }, [, height, width]) {
  const whole = times(width + 2 * crop, height + 2 * crop), framed = "framed as the training images are";
  return crop ? `What ${who}: the middle ${times(width, height)} of ${whole} pixels, ${framed}.` : `What ${who}: ${whole} pixels, ${framed}.`;
}

const page = started();
