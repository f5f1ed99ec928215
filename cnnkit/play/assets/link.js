/* The page's state in its address: #at=dropout&draw=… ; a drawing, or the number of a test image. */

function stateText({ chapter, strokes, sample }) {
  const parts = [];
  if (chapter) parts.push(`at=${encodeURIComponent(chapter)}`);
  if (sample >= 0) parts.push(`image=${sample}`);
  else if (strokes.length) parts.push(`draw=${strokesText(strokes)}`);
  return parts.join("&");
}

function stateOf(hash) {
  const told = new URLSearchParams(hash.replace(/^#/, ""));
  return { chapter: told.get("at"), strokes: strokesOf(told.get("draw") ?? ""), sample: told.has("image") ? Number(told.get("image")) : -1 };
}

/* A button that puts a link to this state into the clipboard, or where that is not allowed into a field. */
function linkButton(state) {
  const told = element("span", { class: "muted", role: "status" });
  const copy = async () => {
    const now = state(), link = `${location.href.split("#")[0]}#${stateText(now)}`;
    if (now.file) return void (told.textContent = "an image file does not fit into a link: draw, or take a test image");
    history.replaceState(null, "", link);
    try {
      await navigator.clipboard.writeText(link);
      told.textContent = `copied: it opens this page with this ${now.sample < 0 ? "drawing" : "test image"}`;
    } catch {
      fill(told, element("input", { value: link, readonly: true, "aria-label": "link to this drawing" }));
      told.firstChild.select();
    }
  };
  return element("div", { class: "row" }, button("copy a link to this", copy), told);
}
