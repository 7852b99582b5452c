// The types of html.js: what the console uses of preact, hooks, signals and htm.
export interface Signal<T> {
  value: T;
  peek(): T;
  subscribe(act: (value: T) => unknown): () => void;
}
export interface ReadonlySignal<T> {
  readonly value: T;
  peek(): T;
}
export type Node = any;
type Given<P> = { [K in keyof P as K extends "children" ? never : K]: P[K] } & { key?: string | number | null; children?: any };
type Value = string | number | boolean | bigint | object | null | undefined | ((event: any) => any);

export function h<P>(component: (properties: P) => Node, properties: Given<P>, ...children: any[]): Node;
export function html(strings: TemplateStringsArray, ...values: Value[]): Node;
export function render(node: Node, root: Element): void;
export const Fragment: (properties: { children?: any }) => Node;

export function useState<S>(initial: S | (() => S)): [S, (next: S | ((before: S) => S)) => void];
export function useEffect(act: () => void | (() => void), inputs?: readonly unknown[]): void;
export function useLayoutEffect(act: () => void | (() => void), inputs?: readonly unknown[]): void;
export function useMemo<T>(make: () => T, inputs?: readonly unknown[]): T;
export function useCallback<T extends (...values: any[]) => any>(act: T, inputs: readonly unknown[]): T;
export function useRef(initial: null): { current: any };
export function useRef<T>(initial: T): { current: T };
export function useErrorBoundary(note?: (error: unknown) => void): [unknown, () => void];
export function useId(): string;

export function signal<T>(initial: T): Signal<T>;
export function computed<T>(make: () => T): ReadonlySignal<T>;
export function effect(act: () => void | (() => void)): () => void;
export function batch<T>(act: () => T): T;
export function useSignal<T>(initial: T): Signal<T>;
