// The page of one instance. Usage: node page.mjs URL PICTURES NAME AUDITED
// AUDITED is a sequence with the grants 1 and, to "billing", 2 to 4, that anna has moved to 20260001 since.
// Says "ready" when a partition may halt, and waits for a line that says that one has.
import { ask, check, evaluate, fits, look, picture, press, refreshed, run, send, until, url, visit, words } from "./browser.mjs";

const [name, audited] = words;
const show = (query) => visit(url + query);
const digits = (text) => `${text}.replace(/\\D/g, "")`;

await run(async () => {
  await look(1200, 1100, "light");
  await show("");
  await until("each partition runs and has its owner", `[...document.querySelectorAll('tr[data-partition]')].length === 4
    && [...document.querySelectorAll('tr[data-state="running"] td[data-label="Owner"]')].filter((cell) => cell.textContent === "a").length === 4`);
  await until("the group's members are there", "document.querySelector('tr[data-instance=\"a\"]').textContent.includes('this one')");
  await until("rate and latency are drawn", `Number(${digits("document.getElementById('rate-now').textContent")}) > 0
    && (document.querySelector('#latency path')?.getAttribute('d') ?? '').includes('L')
    && document.getElementById('p99-now').textContent.endsWith('s')`);
  check(await evaluate(`document.querySelectorAll('#rate text.value').length > 1 && document.querySelector('#rate text.time') !== null
    && document.querySelectorAll('.legend span').length === 3`), "the charts have axes and a legend");
  await until("each partition has a rate", `[...document.querySelectorAll('[data-rate]')].every((cell) => cell.textContent.endsWith('/s'))`);
  check(await evaluate(`['immediate', 'create', '4 of 4 partitions'].every((fact) => document.getElementById('facts').textContent.includes(fact))`),
    "reply mode, policy and running partitions are told");
  await picture("desktop.png");

  await press("Tab", 9);
  check(await evaluate("document.activeElement.className === 'skip'"), "the first stop of the keyboard leads to the content");
  for (let i = 0; i < 20 && await evaluate("document.activeElement.id !== 'prefix'"); i++) await press("Tab", 9);
  check(await evaluate("document.activeElement.id === 'prefix'"), "the keyboard reaches the search");
  await send("Input.insertText", { text: name });
  await press("Enter", 13, "\r");
  await until("a sequence is found by its name", `document.querySelector('#results tbody th')?.textContent === ${JSON.stringify(name)}
    && document.querySelector('#results [data-label="Next ID"]').textContent === "2"`);
  check(await evaluate("document.querySelectorAll('#results b').length === 0 && document.getElementById('prefix').value === " + JSON.stringify(name)),
    "a name is text and no markup");
  check(await evaluate("(document.querySelector('#latency path')?.getAttribute('d') ?? '').includes('L')"), "the charts are there after a search");
  await show("?prefix=orders");
  await until("sequences are found by how they begin", "document.querySelectorAll('#results tbody tr').length > 10");
  await show("?prefix=" + audited);
  await until("a definition is shown with its last change and who made it", `['set_next', 'anna', 'new year'].every(
    (word) => document.getElementById('definition')?.textContent.includes(word))`);
  check(await evaluate(`document.querySelector('#definition dd .number').textContent === '20260001'
    && document.querySelector('#definition dd .number').innerHTML === '20<span>260</span><span>001</span>'`), "digits are in groups, and a copied number has no gaps");
  await evaluate("document.getElementById('find').scrollIntoView()");
  await picture("search.png");

  await show("?sequence=" + audited + "&id=2");
  await until("who got an ID is told", `document.querySelector('#traced tbody th')?.textContent === "2 to 4"
    && document.querySelector('#traced [data-label="Requester"]').textContent === "billing"`);
  await show("?sequence=" + audited + "&id=5");
  await until("an ID that nobody got is told", "document.getElementById('traced')?.textContent.includes('5 is in no grant')");
  await show("?sequence=" + audited + "&id=2");
  await until("and the first again", "document.querySelector('#traced tbody th')?.textContent === '2 to 4'");

  for (const scheme of ["light", "dark"]) {
    await look(390, 844, scheme);
    check(await evaluate(fits), `nothing is cut off on a phone (${scheme})`);
    await picture(`phone-${scheme}.png`);
  }
  await look(1200, 1100, "dark");
  check(await evaluate("getComputedStyle(document.body).backgroundColor === 'rgb(13, 17, 23)'"), "the page is dark in the dark");
  await picture("desktop-dark.png");

  await ask("ready");
  await refreshed();
  check(await evaluate(`document.querySelector('[data-halted="1"]') !== null && document.querySelector('tr[data-partition="1"]').dataset.state === 'halted'`),
    "a halted partition is shown as such at the next refresh");
  check(await evaluate(`['Lag', 'Next offset', 'Sequences'].every((label) =>
    document.querySelector('tr[data-partition="1"] [data-label="' + label + '"]').textContent === '–')`), "what it does not know is not shown as a number");
  check(await evaluate(`document.querySelector('[data-halted="1"] pre')?.textContent.startsWith('sequencer recover --partition 1 --brokers ')`), "with the command that repairs it");
  await picture("halted.png");
  await evaluate("document.getElementById('repair-1').focus(), document.getElementById('alarms').append(' ')");
  await refreshed();
  check(await evaluate("document.activeElement.id === 'repair-1' && document.getElementById('alarms').lastChild.nodeName === 'DIV'"),
    "the focus stays when a section is brought up to date");
  await look(390, 844, "dark");
  check(await evaluate(fits), "nothing is cut off on a phone when one is halted");
  await picture("halted-phone.png");
});
