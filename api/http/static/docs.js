// Render /openapi.json. Texts are inserted as text, never as markup, so none can run a script.

const METHODS = ["get", "post", "put", "patch", "delete", "options"];

function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

// Backquotes in a text mark code.
function prose(text) {
  return (text ?? "").split("`").map((part, n) => (n % 2 ? element("code", {}, part) : part));
}

function pretty(value) {
  return element("pre", {}, JSON.stringify(value, null, 2));
}

function table(headings, rows) {
  const cells = (tag, row) => element("tr", {}, row.map((cell) => element(tag, {}, cell)));
  return element("table", {}, cells("th", headings), rows.map((row) => cells("td", row)));
}

function typeOf(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").at(-1);
  if (schema.anyOf || schema.allOf) return (schema.anyOf ?? schema.allOf).map(typeOf).filter(Boolean).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((word) => JSON.stringify(word)).join(" | ");
  if (schema.type === "array") return `list of ${typeOf(schema.items) || "anything"}`;
  return schema.format ?? schema.type ?? "";
}

function fields(schema, schemas) {
  const known = schema?.$ref ? schemas[schema.$ref.split("/").at(-1)] : schema;
  if (!known?.properties) return typeOf(schema) ? element("p", {}, typeOf(schema)) : null;
  const required = new Set(known.required ?? []);
  const rows = Object.entries(known.properties).map(([name, field]) => [
    element("code", {}, name), typeOf(field), prose(field.description), required.has(name) ? "always" : "",
  ]);
  return table(["field", "type", "what", ""], rows);
}

function bodies(content, schemas) {
  return Object.entries(content ?? {}).flatMap(([kind, body]) => [
    element("p", { class: "quiet" }, kind),
    fields(body.schema, schemas),
    body.example === undefined ? null : pretty(body.example),
  ]);
}

function parameters(operation) {
  if (!operation.parameters?.length) return [];
  const rows = operation.parameters.map((each) => [
    element("code", {}, each.name), each.in, typeOf(each.schema), prose(each.description),
  ]);
  return [element("h4", {}, "Parameters"), table(["name", "in", "type", "what"], rows)];
}

function responses(operation, schemas) {
  return Object.entries(operation.responses).flatMap(([status, answer]) => {
    const good = Number(status) < 400;
    return [
      element("h4", {}, `${status} `, ...prose(answer.description)),
      ...(good ? bodies(answer.content, schemas) : []),
    ];
  });
}

function section(path, method, operation, schemas) {
  const scopes = (operation.security ?? []).flatMap((each) => each.bearer ?? []);
  return element("details", { id: operation.operationId },
    element("summary", {},
      element("span", { class: "method" }, method.toUpperCase()), element("code", {}, path),
      element("div", { class: "quiet" }, operation.summary)),
    element("div", {},
      scopes.length ? element("p", {}, "Scope: ", element("code", {}, scopes.join(" "))) : null,
      parameters(operation),
      operation.requestBody ? [element("h4", {}, "Body"), ...bodies(operation.requestBody.content, schemas)] : null,
      responses(operation, schemas)));
}

function draw(description) {
  const main = document.getElementById("operations");
  const nav = document.getElementById("contents");
  const groups = new Map();
  for (const [path, item] of Object.entries(description.paths)) {
    for (const method of METHODS.filter((name) => item[name])) {
      const [tag] = item[method].tags;
      groups.set(tag, [...(groups.get(tag) ?? []), [path, method, item[method]]]);
    }
  }
  for (const [tag, entries] of groups) {
    main.append(element("h2", {}, tag));
    nav.append(element("strong", {}, tag));
    for (const [path, method, operation] of entries) {
      main.append(section(path, method, operation, description.components.schemas));
      nav.append(element("a", { href: `#${operation.operationId}` }, `${method.toUpperCase()} ${path}`));
    }
  }
}

function open() {
  const target = document.getElementById(location.hash.slice(1));
  if (target?.tagName === "DETAILS") {
    target.open = true;
    target.scrollIntoView();
  }
}

function find(event) {
  const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const each of document.querySelectorAll("main details")) {
    const text = each.querySelector("summary").textContent.toLowerCase();
    each.hidden = !words.every((word) => text.includes(word));
  }
}

const about = document.getElementById("about");
try {
  const description = await (await fetch("/openapi.json")).json();
  about.replaceChildren(`${description.info.summary} Version ${description.info.version}. `,
    element("a", { href: "/openapi.json" }, "/openapi.json"), ". ", ...prose(description.info.description));
  draw(description);
  document.getElementById("find").addEventListener("input", find);
  addEventListener("hashchange", open);
  open();
} catch (error) {
  about.append(` failed: ${error.message}. Reload the page.`);
}
