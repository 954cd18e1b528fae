// The look: the tokens of the house, in em of the visitor's own text size, so that it grows with it.
export const css = `
:host { all: initial; position: fixed; z-index: 2147483000; inset: auto 0 0 auto; color-scheme: light dark;
  --surface: #fff; --sunk: #f4f2ed; --ink: #1d1b18; --muted: #6b665e; --line: #e6e2db; --edge: #8c867c; --accent: #0b6b63; --accent-soft: #e2f0ed; --on: #fff; --bad: #b3412f; --bad-soft: #faeae6; --machine-soft: #efeef5; --machine: #5d5a78;
  --float: 0 1px 2px rgb(0 0 0 / .06), 0 8px 24px rgb(0 0 0 / .16); }
:host([theme=light]) { color-scheme: light } :host([theme=dark]) { color-scheme: dark }
@media (prefers-color-scheme: dark) { :host(:not([theme=light])) { DARK } }
:host([theme=dark]) { DARK }
@media print { :host { display: none } }
* { box-sizing: border-box } [hidden] { display: none !important }
.all { all: initial; color-scheme: inherit; display: block; font: 400 var(--rufweite-text, medium)/1.5 -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif; color: var(--ink); text-align: start; -webkit-text-size-adjust: none }
button, input, textarea { font: inherit; color: inherit; margin: 0 }
h2, p, ul, li, form, blockquote { margin: 0; padding: 0; list-style: none; font: inherit }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 6px }
.sr { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap }
svg { width: 1.25em; height: 1.25em; flex: none; fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round }
.b { display: inline-flex; align-items: center; justify-content: center; gap: .4em; min-height: 44px; min-width: 44px; padding: .35em .8em; border: 1px solid var(--edge); border-radius: 8px; background: var(--surface); cursor: pointer; text-decoration: none }
.b:hover { border-color: var(--ink) } .b[disabled] { cursor: default; opacity: .6 }
.go { background: var(--accent); border-color: var(--accent); color: var(--on); font-weight: 600 }
.quiet { border-color: transparent; background: none; color: var(--muted); padding: .35em .5em } .quiet:hover { color: var(--ink); background: var(--sunk) }
.launch { position: fixed; inset: auto max(16px, env(safe-area-inset-right)) max(16px, env(safe-area-inset-bottom)) auto; min-height: 48px; padding: .5em 1.1em; box-shadow: var(--float); border-radius: 24px }
.launch:focus-visible { border-radius: 24px }
.badge { min-width: 1.6em; padding: 0 .4em; border-radius: 1em; background: var(--on); color: var(--accent); font-size: .8125em; line-height: 1.6; text-align: center }
.panel { position: fixed; inset: auto 20px 20px auto; width: min(23.5em, calc(100vw - 40px)); height: min(38em, calc(100vh - 40px)); height: min(38em, calc(100dvh - 40px)); display: flex; flex-direction: column; border: 1px solid var(--line); border-radius: 14px; background: var(--surface); box-shadow: var(--float); overflow: hidden; font-size: .9375em }
.full { inset: 0 0 auto 0; width: 100%; height: 100vh; height: 100dvh; border: 0; border-radius: 0 }
header { display: flex; gap: .65em; align-items: flex-start; align-items: safe center; padding: .6em .3em .6em .9em; border-bottom: 1px solid var(--line); flex: none; max-height: 32%; overflow-y: auto }
header div { flex: 1; min-width: 0; line-height: 1.3 } h2 { font-weight: 600; overflow-wrap: anywhere } .sub { font-size: .8667em; color: var(--muted) }
.face { display: inline-grid; place-items: center; width: 2.3em; height: 2.3em; flex: none; border-radius: 50%; font-style: normal; font-weight: 600; font-size: .8667em; background: var(--face); color: var(--face-ink) }
.banner { flex: none; padding: .5em .95em; background: var(--sunk); border-bottom: 1px solid var(--line); font-size: .8667em } .banner.bad { background: var(--bad-soft); color: var(--bad) }
.log { flex: 1 1 0; min-height: 4em; overflow-y: auto; overscroll-behavior: contain; padding: .95em; display: flex; flex-direction: column; gap: .5em } .log:focus-visible { outline-offset: -3px; border-radius: 0 }
.log > :first-child { margin-top: auto }
.log > .b { align-self: center } .log > .forget { align-self: flex-end; font-size: .8667em; text-decoration: underline; text-underline-offset: 3px } .hint { color: var(--muted); font-size: .8667em } .hello { max-width: 88% }
.m { max-width: 88%; align-self: flex-start; display: grid; gap: .15em; justify-items: start } .m.me { align-self: flex-end; justify-items: end }
.bub { padding: .5em .8em; border-radius: 12px 12px 12px 4px; background: var(--sunk); overflow-wrap: anywhere; white-space: pre-wrap; display: grid; gap: .4em; min-width: 0 } .me .bub { border-radius: 12px 12px 4px 12px; background: var(--accent-soft) } .machine .bub { background: var(--machine-soft) }
.ask { display: grid; grid-template-columns: minmax(0, 1fr); gap: .4em; width: 100%; min-width: min(17em, 70vw); padding: .2em 0 } .ask form { display: grid; gap: .5em } .ask label { display: grid; gap: .2em } .ask input:not([type=checkbox]) { min-height: 44px; width: 100%; padding: .4em .6em; border: 1px solid var(--edge); border-radius: 8px; background: var(--surface); font-size: max(1em, 16px) }
.opts { display: grid; gap: .35em } .scale { grid-template-columns: repeat(auto-fill, minmax(44px, 1fr)) } .scale > .quiet { grid-column: 1 / -1 } .opt { color: var(--accent); font-weight: 600; overflow-wrap: anywhere } .scale .opt { padding: .35em 0 } small { display: block; font-weight: 400; font-size: .8667em; color: var(--muted) }
.ask .tick { display: flex; gap: .6em; align-items: center; min-height: 44px; padding: .35em .7em; border: 1px solid var(--edge); border-radius: 8px; cursor: pointer } .tick input { width: 1.3em; height: 1.3em; margin: 0; flex: none; accent-color: var(--accent) }
.bub a { color: var(--accent) } .meta { font-size: .8667em; color: var(--muted); display: flex; flex-wrap: wrap; gap: 0 .5em; align-items: center } .bad { color: var(--bad) } .meta .b { min-height: 44px }
.m:not(:hover):not(:focus-within) .re { opacity: 0 } @media (hover: none) { .m .re { opacity: 1 !important } } .re { margin: -.6em 0 }
blockquote { border-inline-start: 3px solid var(--edge); padding-inline-start: .6em; color: var(--muted); font-size: .8667em; white-space: pre-wrap; overflow-wrap: anywhere }
img { display: block; max-width: 100%; max-height: 14em; border-radius: 8px }
.file { display: inline-flex; gap: .4em; align-items: center; min-height: 44px }
.foot { flex: none; display: grid; grid-template-columns: minmax(0, 1fr); gap: .3em; padding: .3em .6em max(.6em, env(safe-area-inset-bottom)); border-top: 1px solid var(--line); max-height: 55%; overflow-y: auto }
.acts { display: flex; flex-wrap: wrap; gap: 0 .1em } .acts .b { font-size: .8667em; color: var(--accent); padding: .2em .35em; gap: .3em } .acts svg { width: 1.1em; height: 1.1em }
.say { font-size: .8667em; color: var(--muted); padding: 0 .3em } .say.bad { color: var(--bad) } .typing { min-height: 1.5em }
.compose { display: flex; flex-wrap: wrap; gap: .15em; align-items: flex-end; border: 1px solid var(--edge); border-radius: 12px; padding: 3px } .compose:focus-within { outline: 2px solid var(--accent); outline-offset: -1px }
textarea { flex: 1 1 7em; min-width: 7em; min-height: 44px; max-height: 9em; field-sizing: content; resize: none; border: 0; background: none; padding: .6em .4em; line-height: 1.4; font-size: max(1em, 16px) } textarea:focus-visible { outline: 0 } ::placeholder { color: var(--muted); opacity: 1 }
.chips { display: flex; flex-wrap: wrap; gap: .3em } .chip { display: inline-flex; align-items: center; gap: .2em; border: 1px solid var(--line); border-radius: 8px; padding-inline-start: .6em; max-width: 100%; font-size: .8667em } .chip span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
.emoji { display: grid; grid-template-columns: repeat(auto-fill, minmax(44px, 1fr)); max-height: 9.5em; overflow-y: auto; border: 1px solid var(--line); border-radius: 8px } .emoji .b { font-size: 1.25em; padding: 0 }
.mail { display: grid; grid-template-columns: minmax(0, 1fr); gap: .4em; padding: .4em .3em } .mail b { font-weight: 600 } .mail label { display: grid; gap: .2em } .mail input { min-height: 44px; padding: .4em .6em; border: 1px solid var(--edge); border-radius: 8px; background: var(--surface); font-size: max(1em, 16px); width: 100% } .row { display: flex; flex-wrap: wrap; gap: .4em }
@media (prefers-reduced-motion: no-preference) { .panel { animation: in .14s ease-out } @keyframes in { from { opacity: 0; transform: translateY(8px) } } .b { transition: background .12s, border-color .12s } }
@media (forced-colors: active) { .bub, .panel, .launch, .badge { border: 1px solid } }
`.replaceAll('DARK', `--surface: #1f1d19; --sunk: #2a2721; --ink: #ece8e1; --muted: #a59e93; --line: #35312a; --edge: #7a7468; --accent: #4fb8ab; --accent-soft: #16302c; --on: #0d1f1c; --bad: #e88a75; --bad-soft: #38201a; --machine-soft: #25233a; --machine: #aaa6cf`)
