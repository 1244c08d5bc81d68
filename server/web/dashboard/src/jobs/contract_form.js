// Fields of a job's form, made from the contract (OpenAPI), and the body that is made from what they hold.

/** The schema that a $ref within the contract names, with what stands beside the $ref on top. */
function resolve(contract, schema) {
  if (!schema.$ref) {
    return schema;
  }
  const { $ref, ...beside } = schema;
  const target = tokensOf($ref.slice(1)).reduce((at, token) => at[token], contract);
  return { ...resolve(contract, target), ...beside };
}

/** The tokens of a JSON pointer (RFC 6901). */
export function tokensOf(pointer) {
  return pointer.split("/").slice(1).map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** The values that a schema allows where it lists them all, else null. */
function choicesOf(contract, schema) {
  if (schema.const !== undefined) {
    return [schema.const];
  }
  if (schema.enum) {
    return schema.enum;
  }
  if (schema.type === "boolean") {
    return [false, true];
  }
  const parts = schema.oneOf?.map((part) => choicesOf(contract, resolve(contract, part)));
  return parts?.every(Boolean) ? parts.flat() : null;
}

function boundsOf(schema) {
  // beyond what a number holds exactly, none is shown as if it did
  const text = (number) => (Math.abs(number) > Number.MAX_SAFE_INTEGER ? `about ${number.toPrecision(3)}`
    : number.toLocaleString("en", { maximumFractionDigits: 20 }));
  const least = schema.minimum !== undefined ? `at least ${text(schema.minimum)}`
    : schema.exclusiveMinimum !== undefined ? `above ${text(schema.exclusiveMinimum)}` : "";
  const most = schema.maximum !== undefined ? `at most ${text(schema.maximum)}` : "";
  return [schema.type === "integer" ? "A whole number" : "A number", least, most].filter(Boolean).join(", ") + ".";
}

/** What a field is entered by, and what is to be said of that. */
function controlOf(contract, schema) {
  const choices = choicesOf(contract, schema);
  if (choices) {
    return { control: "choice", choices };
  }
  if (schema.type === "integer" || schema.type === "number") {
    return { control: schema.type, hint: boundsOf(schema) };
  }
  if (schema.type === "string") {
    return { control: "text" };
  }
  const items = schema.type === "array" && schema.items && resolve(contract, schema.items);
  if (items?.enum) {
    return { control: "several", choices: items.enum };
  }
  if (items?.type === "string") {
    return { control: "lines", hint: "One a line." };
  }
  return { control: "json", hint: "As JSON." };
}

function fieldOf(contract, name, base, raw, isRequired) {
  const schema = resolve(contract, raw);
  const { hint, ...control } = controlOf(contract, schema);
  return {
    name,
    pointer: `${base}/${name}`,
    names: raw.$ref?.split("/").pop() ?? raw.items?.$ref?.split("/").pop() ?? null, // what known values belong to
    help: [schema.description?.trim().replaceAll("\n", " "), hint].filter(Boolean).join(" "),
    default: schema.default,
    isRequired,
    ...control,
  };
}

/** The kinds of job that the contract knows. */
export function kindsOf(contract) {
  return resolve(contract, contract.components.schemas.JobRequest.properties.kind).enum;
}

/** {about, fields} of the form for a kind: those of every job, and those of its params. */
export function formOf(contract, kind) {
  const request = contract.components.schemas.JobRequest;
  const one = request.anyOf.find((part) => part.properties.kind.const === kind);
  const params = resolve(contract, one.properties.params);
  const required = new Set(request.required);
  const common = Object.entries(request.properties)
    .filter(([name]) => name !== "kind" && name !== "params")
    .map(([name, schema]) => fieldOf(contract, name, "", schema, required.has(name)));
  const own = Object.entries(params.properties)
    .map(([name, schema]) => fieldOf(contract, name, "/params", schema, params.required?.includes(name) ?? false));
  return { about: params.description?.trim().replaceAll("\n", " "), common, own };
}

function numberOf(text, isWhole) {
  const value = Number(text);
  if (!Number.isFinite(value) || (isWhole && !Number.isInteger(value))) {
    throw new Error(`"${text}" is not ${isWhole ? "a whole number" : "a number"}`);
  }
  if (isWhole && !Number.isSafeInteger(value)) {
    throw new Error(`${text} is too long for this page to send exactly: send it by the API`);
  }
  return value;
}

function jsonOf(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`it is not JSON: ${error.message}`);
  }
}

/** How a field's text becomes a value; throws an Error that says what is wrong. */
const READERS = {
  choice: (text) => JSON.parse(text),
  several: (list) => list,
  integer: (text) => numberOf(text, true),
  number: (text) => numberOf(text, false),
  text: (text) => text,
  lines: (text) => text.split("\n").map((line) => line.trim()).filter(Boolean),
  json: jsonOf,
};

/**
 * The request's body of what was entered, {pointer: text, or for "several" a list}; what is blank is left out.
 * {body, errors: [{pointer, detail}]}
 */
export function bodyOf(kind, fields, entered) {
  const body = { kind };
  const errors = [];
  for (const { name, pointer, control } of fields) {
    const raw = entered[pointer];
    const text = typeof raw === "string" ? raw.trim() : raw;
    if (text === undefined || text === "") {
      continue;
    }
    try {
      const into = pointer.startsWith("/params/") ? (body.params ??= {}) : body;
      into[name] = READERS[control](text);
    } catch (error) {
      errors.push({ pointer, detail: error.message });
    }
  }
  return { body, errors };
}

/** Errors by the pointer of the field that they belong to; those that belong to none are under "". */
export function errorsByField(fields, errors) {
  const found = {};
  for (const { pointer, detail } of errors) {
    const field = fields.find((one) => pointer === one.pointer || pointer.startsWith(`${one.pointer}/`));
    const inside = field ? pointer.slice(field.pointer.length) : pointer;
    (found[field?.pointer ?? ""] ??= []).push(inside ? `${inside}: ${detail}` : detail);
  }
  return found;
}
