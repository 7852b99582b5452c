// Columns over time, stacked by group. Arrow keys walk the columns; the table below is its twin.
import { visible } from "../core/format.js";
import { h, html, useState } from "../core/html.js";

const WIDTH = 1000;
const HEIGHT = 210;
const FOOT = 22;

/** @typedef {{label: string, short: string, parts: {name: string, color: string, value: number}[]}} Column */

/** A round number at or above a value. @param {number} value */
function roof(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 3, 4, 6, 8, 10].map((n) => n * power).find((n) => n >= value) ?? value;
}

/** @param {{columns: Column[], form: (value: number) => string, label: string}} properties */
export function Columns({ columns, form, label }) {
  const [on, setOn] = useState(-1);
  const walk = (/** @type {number} */ by) => setOn(Math.max(0, Math.min(columns.length - 1, on + by)));
  const keys = (/** @type {KeyboardEvent} */ event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1, Home: -columns.length, End: columns.length }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    walk(by);
  };
  const totals = columns.map((column) => column.parts.reduce((n, part) => n + part.value, 0));
  const top = roof(Math.max(...totals, 1));
  const step = WIDTH / Math.max(columns.length, 1);
  const y = (/** @type {number} */ value) => (HEIGHT - FOOT) * (1 - value / top);
  return html`<div class="chart" role="group" tabindex="0" aria-label=${label} onKeyDown=${keys} onMouseLeave=${() => setOn(-1)} onBlur=${() => setOn(-1)}>
    <svg viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      ${[0, 0.5, 1].map((part) => html`<line key=${part} class="rule" x1="0" x2=${WIDTH} y1=${y(top * part)} y2=${y(top * part)} vector-effect="non-scaling-stroke" />`)}
      ${columns.map((column, k) => h(Stack, { key: column.label, column, x: k * step, step, y, on: k === on, enter: () => setOn(k) }))}</svg>
    <ol class="ticks" aria-hidden="true">${[1, 0.5].map((part) => html`<li key=${part} style=${{ top: `${y(top * part) + 16}px` }}>${form(top * part)}</li>`)}</ol>
    <div class="days num" aria-hidden="true">${thin(columns).map((column) => html`<span key=${column.label} style=${{ left: `${((columns.indexOf(column) + 0.5) / columns.length) * 100}%` }}>${column.short}</span>`)}</div>
    ${on >= 0 && columns[on] && h(Tip, { column: columns[on], total: totals[on], form, x: (on + 0.5) / columns.length })}</div>`;
}

/** @param {Column[]} columns */
const thin = (columns) => columns.filter((_, k) => k % Math.ceil(columns.length / 9) === 0);

/** @param {{column: Column, x: number, step: number, y: (value: number) => number, on: boolean, enter: () => void}} properties */
function Stack({ column, x, step, y, on, enter }) {
  let sum = 0;
  const width = Math.min(step * 0.72, 64);
  return html`<g class=${on ? "col on" : "col"} onMouseEnter=${enter}><rect x=${x} y="0" width=${step} height=${HEIGHT} fill="transparent" />
    ${column.parts.map((part) => {
      const [low, high] = [y(sum), y((sum += part.value))];
      return html`<rect key=${part.name} x=${x + (step - width) / 2} y=${high} width=${width} height=${Math.max(low - high, part.value ? 1 : 0)} style=${{ fill: part.color }} />`;
    })}</g>`;
}

/** @param {{column: Column, total: number, form: (value: number) => string, x: number}} properties */
function Tip({ column, total, form, x }) {
  const place = x < 0.6 ? { left: `calc(${x * 100}% + 24px)` } : { right: `calc(${(1 - x) * 100}% + 24px)` };
  return html`<div class="tip num" role="status" style=${place}><b>${column.label}</b> · ${form(total)}
    <ul>${column.parts.filter((part) => part.value).map((part) => html`<li key=${part.name} style=${{ "--c": part.color }}><i></i><bdi class="cut">${visible(part.name)}</bdi><b>${form(part.value)}</b></li>`)}</ul></div>`;
}
