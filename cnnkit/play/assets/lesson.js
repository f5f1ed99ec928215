/* The lesson: each chapter is a title, a sentence, and a small thing to touch. */

const CHAPTERS = [];

/* list: takes the chapters. links: takes a link to each. entered(id): is told which one a reader touches. */
function drawLesson(list, links, content, entered) {
  for (const chapter of CHAPTERS) {
    const id = `chapter-${chapter.id}`, measured = content.measured[chapter.id];
    const part = element("article", { class: "chapter", id, onfocusin: () => entered(chapter.id), onpointerdown: () => entered(chapter.id) },
      element("h3", {}, chapter.title), element("p", {}, chapter.sentence),
      measured ? element("p", { class: "measured" }, element("b", {}, "Measured in this study: "), measured) : null);
    part.append(...chapter.draw(content));
    list.append(part);
    links.append(element("a", { href: `#${id}` }, chapter.title));
  }
}
