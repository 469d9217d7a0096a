// Draws the diagrams of the site: a code block of the language "mermaid" becomes a picture.
"use strict";

const dark = ["coal", "navy", "ayu"].some((theme) => document.documentElement.classList.contains(theme));
for (const code of document.querySelectorAll("code.language-mermaid")) {
  const diagram = document.createElement("pre");
  diagram.className = "mermaid";
  diagram.textContent = code.textContent;
  code.parentElement.replaceWith(diagram);
}
// Mermaid measures its boxes with this font, so it has to be the one that is there.
const fontFamily = getComputedStyle(document.body).fontFamily;
mermaid.initialize({ startOnLoad: false, fontFamily, theme: dark ? "dark" : "default" });
mermaid.run();
