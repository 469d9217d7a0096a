// The pages of two instances that share four partitions. Usage: node service.mjs URL PICTURES URL2 NAME NAME2
// Says "rescale", upon which the test begins a rescale to eight partitions that does not end by itself, then
// "finish the rescale" and "kill NAME2", and waits until that has happened.
import { ask, check, evaluate, fits, look, picture, refreshed, run, until, url, visit, words } from "./browser.mjs";

const [url2, name, name2] = words;
// Refreshes of a page take longer than the brokers' last answer about the group is shown.
const LONG = 4;
const rows = "[...document.querySelectorAll('tr[data-state=\"running\"]')]";
const cell = (row, label) => `${row}.querySelector('[data-label="${label}"]').textContent`;
const instance = (of) => `document.querySelector('tr[data-instance="${of}"]')`;
// True when each partition is shown once, with all that its owner knows.
const all = (count, owners) => `${rows}.length === ${count} && new Set(${rows}.map((row) => row.dataset.partition)).size === ${count}
  && ${rows}.every((row) => ${JSON.stringify(owners)}.includes(${cell("row", "Owner")}) && /^[0-9]/.test(${cell("row", "Next offset")})
    && ${cell("row", "Checkpoint")}.endsWith("ago") && ${cell("row", "Rate")}.endsWith("/s"))
  && ${JSON.stringify(owners)}.every((owner) => ${rows}.some((row) => ${cell("row", "Owner")} === owner))`;

await run(async () => {
  await look(1200, 1100, "light");
  for (const [address, own, other] of [[url2, name2, name], [url, name, name2]]) {
    await visit(address);
    await until(`the page of ${own} shows the partitions of both with all that their owners know`, all(4, [name, name2]));
    await until(`the page of ${own} shows ${other} with its last heartbeat, release and mode`, `/^[0-9.]+ s ago$/.test(${cell(instance(other), "Last heartbeat")})
      && ${cell(instance(other), "Version")} === ${cell(instance(own), "Version")} && ${cell(instance(other), "Reply mode")} === 'exactly_once'`);
    await until("both are members of the group, and one of them is this one",
      `document.querySelectorAll('tr[data-instance]').length === 2 && document.querySelectorAll('tr[data-instance] .tag').length === 1
      && ${instance(own)}.textContent.includes("this one")`);
  }
  await picture("two-instances.png");
  await look(390, 844, "light");
  check(await evaluate(fits), "nothing is cut off on a phone");
  await picture("two-instances-phone.png");
  await look(1200, 1100, "light");

  await ask("rescale");
  for (const address of [url2, url]) {
    await visit(address);
    await until("a rescale in progress is shown with its parts", `document.querySelector('#rescale h2')?.textContent.includes('4 → 8')
      && document.querySelector('#rescale progress').value < 8 && document.querySelector('#rescale dl').textContent.includes('partition 1:')`);
    await until("with the partition that is held back", `document.querySelector('tr[data-partition="5"]').textContent.includes("open transaction")`);
  }
  check(await evaluate(fits), "nothing is cut off in a rescale");
  await picture("rescale.png");
  await look(390, 844, "dark");
  check(await evaluate(fits), "nothing is cut off on a phone in a rescale");
  await picture("rescale-phone.png");
  await look(1200, 1100, "light");
  await ask("finish the rescale");
  for (const address of [url2, url]) {
    await visit(address);
    await until("and no longer when it is done", `document.querySelector('#rescale h2') === null && ${all(8, [name, name2])}`);
    check(await evaluate("document.getElementById('facts').textContent.includes('Names spread over8 partitions')"), "names are spread over all of them");
  }
  await picture("rescaled.png");

  await ask("kill " + name2);
  const isGone = `!document.body.textContent.includes(${JSON.stringify(name2)})`;
  await until("an instance that was killed is no longer shown, and its partitions run here", `${isGone} && ${all(8, [name])}`);
  for (let i = 0; i < LONG; i++) {
    await refreshed();
    check(await evaluate(isGone), "and it does not come back");
  }
  await picture("one-is-gone.png");
});
