// Keeps a page current, and says so where it cannot. Without it everything works, and ages.
'use strict';
const EVERY = 4000, PATIENCE = 3000;
const main = () => document.querySelector('main');
const lost = document.getElementById('lost'), news = document.getElementById('news');
let answered = Date.now();
function isTyped(field) {
  if (field.type === 'checkbox') return field.checked !== field.defaultChecked;
  if (field.options) return [...field.options].some(o => o.selected !== o.defaultSelected && o.index > 0);
  return field.type !== 'hidden' && field.value !== field.defaultValue;
}
// What a person reads, marks or fills in is not taken away.
function isBusy() {
  const at = document.activeElement;
  return (at && main().contains(at) && at.matches('input, select')) || String(getSelection()) !== ''
    || [...main().querySelectorAll('input, select')].some(isTyped);
}
const gist = within => [...within.querySelectorAll('h1, .state, td[class]')].map(e => e.className + e.textContent).join();
const held = () => [...document.querySelectorAll('main, main a, main button, main summary, main [tabindex]')];
const say = (words, level) => Object.assign(lost, {hidden: false, textContent: words, className: `band ${level}`});
async function refresh() {
  if (document.hidden) return;
  try {
    const answer = await fetch(location.href, {signal: AbortSignal.timeout(PATIENCE), headers: {Accept: 'text/html'}});
    const next = new DOMParser().parseFromString(await answer.text(), 'text/html');
    if (answer.redirected) { location.reload(); return; }
    if (!answer.ok) throw new Error(answer.status);
    answered = Date.now();
    lost.hidden = true;
    document.body.className = next.body.className;
    document.getElementById('bar').replaceWith(next.getElementById('bar'));
    const before = main().dataset.news, now = next.querySelector('main').dataset.news;
    const isNew = gist(next.querySelector('main')) !== gist(main());
    if (isBusy()) return isNew ? say('This has changed: reload the page, or leave the field.', 'doubt') : null;
    const focused = held().indexOf(document.activeElement), html = document.activeElement.outerHTML;
    const open = new Set([...document.querySelectorAll('details[id][open]')].map(d => d.id));
    const at = [...document.querySelectorAll('.wide')].map(w => w.scrollLeft);
    document.title = next.title;
    for (const part of ['main', 'footer']) document.querySelector(part).replaceWith(next.querySelector(part));
    open.forEach(id => document.getElementById(id)?.setAttribute('open', ''));
    document.querySelectorAll('.wide').forEach((w, i) => { w.scrollLeft = at[i] || 0; });
    if (focused >= 0) (held().find(e => e.outerHTML === html) ?? held()[focused])?.focus({preventScroll: true});
    if (now && now !== before) news.textContent = now;
    buttons();
  } catch {
    const secs = Math.round((Date.now() - answered) / 1000);
    say(`STALE: allswell has not answered for ${secs} s. What is below is from before, and proves nothing now.`, 'stale');
    document.title = 'STALE · allswell';
    document.body.classList.add('stale');
  }
}
function buttons() {
  for (const button of document.querySelectorAll('button[data-copy]')) {
    button.hidden = false;
    button.onclick = () => navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent)
      .then(() => { button.textContent = 'Copied'; });
  }
}
buttons();
if (document.body.dataset.live) { setInterval(refresh, EVERY); document.addEventListener('visibilitychange', refresh); }
