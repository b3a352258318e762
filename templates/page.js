// Keeps a page current, and says so where it cannot. Without it everything works, and ages.
'use strict';
const EVERY = 4000, PATIENCE = 3000;
const main = () => document.querySelector('main');
const lost = document.getElementById('lost'), news = document.getElementById('news');
let answered = Date.now();

function isBusy() {
  const at = document.activeElement;
  return (at && at !== document.body && main().contains(at)) || String(getSelection()) !== '';
}

async function refresh() {
  if (document.hidden) return;
  try {
    const answer = await fetch(location.href, {signal: AbortSignal.timeout(PATIENCE), headers: {Accept: 'text/html'}});
    const next = new DOMParser().parseFromString(await answer.text(), 'text/html');
    if (answer.redirected || !next.querySelector('main')) { location.reload(); return; }
    answered = Date.now();
    lost.hidden = true;
    document.body.className = next.body.className;
    document.getElementById('bar').replaceWith(next.getElementById('bar'));
    if (isBusy()) return;
    const open = new Set([...document.querySelectorAll('details[id][open]')].map(d => d.id));
    const at = [...document.querySelectorAll('.wide')].map(w => w.scrollLeft);
    const before = main().dataset.news, now = next.querySelector('main').dataset.news;
    main().replaceWith(next.querySelector('main'));
    open.forEach(id => document.getElementById(id)?.setAttribute('open', ''));
    document.querySelectorAll('.wide').forEach((w, i) => { w.scrollLeft = at[i] || 0; });
    if (now && now !== before) news.textContent = now;
    buttons();
  } catch {
    const secs = Math.round((Date.now() - answered) / 1000);
    lost.hidden = false;
    lost.textContent = `STALE: allswell has not answered for ${secs} s. What is below is from before, and proves nothing now.`;
    document.body.classList.add('stale');
  }
}

function buttons() {
  document.querySelectorAll('button[data-copy]').forEach(button => {
    button.hidden = false;
    button.onclick = async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = 'Copied';
    };
  });
}

buttons();
if (document.body.dataset.live) setInterval(refresh, EVERY);
