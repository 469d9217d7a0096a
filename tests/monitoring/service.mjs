// The page of "a", which shares four partitions with "b". Usage: node service.mjs URL PICTURES
// Says "rescale", upon which the test begins a rescale to eight partitions that does not end by itself,
// "finish the rescale" and "kill b", and waits until that has happened.
import { ask, check, evaluate, fits, look, picture, refreshed, run, send, until, url } from "./browser.mjs";

const rows = "[...document.querySelectorAll('tr[data-state=\"running\"]')]";
const cell = (row, label) => `${row}.querySelector('[data-label="${label}"]').textContent`;

await run(async () => {
  await look(1200, 1100, "light");
  await send("Page.navigate", { url });
  await until("the partitions of both are shown with all that their owners know", `${rows}.length === 4
    && ["a", "b"].every((owner) => ${rows}.some((row) => ${cell("row", "Owner")} === owner && /^[1-9]/.test(${cell("row", "Next offset")})
      && ${cell("row", "Checkpoint")}.endsWith("ago") && ${cell("row", "Rate")}.endsWith("/s")))`);
  await until("the peer is shown with its last heartbeat, release and mode", `['ago', 'exactly_once'].every(
    (word) => document.querySelector('tr[data-instance="b"]')?.textContent.includes(word))`);
  await until("both are members of the group", `document.querySelectorAll('tr[data-instance] .tag').length === 1`);
  await picture("two-instances.png");

  console.log("rescale");
  await until("a rescale in progress is shown with its parts", `document.querySelector('#rescale h2')?.textContent.includes('4 → 8')
    && document.querySelector('#rescale progress').value < 8 && document.querySelector('#rescale dl').textContent.includes('partition 1:')`);
  await refreshed();
  await picture("rescale.png");
  await look(390, 844, "dark");
  check(await evaluate(fits), "nothing is cut off on a phone in a rescale");
  await picture("rescale-phone.png");
  await look(1200, 1100, "light");
  await ask("finish the rescale");
  await until("and no longer when it is done", `document.querySelector('#rescale h2') === null && ${rows}.length === 8`);
  await refreshed();
  await picture("service.png");

  await ask("kill b");
  await until("an instance that was killed is no longer shown, and its partitions run here", `document.querySelector('tr[data-instance="b"]') === null
    && ${rows}.length === 8 && ${rows}.every((row) => ${cell("row", "Owner")} === "a")`);
  await picture("one-is-gone.png");
});
