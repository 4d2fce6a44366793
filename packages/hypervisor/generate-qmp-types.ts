import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { z } from "zod";
import { type UsedCommand, usedCommands, usedEvents } from "./qmp-used.ts";

/**
 * Writes `src/qmp/generated/schema.ts` from what a real QEMU says of itself (`query-qmp-schema`; docs/devel/qapi-code-gen
 * of QEMU, "Client JSON Protocol introspection"). Only what is used (`qmp-used.ts`) is taken, so that the file shows what the driver
 * relies on, and a member that QEMU no longer has fails here and not under a guest.
 *
 *     node packages/hypervisor/generate-qmp-types.ts /path/to/qemu-system-x86_64
 */

const Member = z.object({ name: z.string(), type: z.string(), default: z.null().optional() });
const Entity = z.discriminatedUnion("meta-type", [
	z.object({ "meta-type": z.literal("builtin"), name: z.string(), "json-type": z.string() }),
	z.object({ "meta-type": z.literal("enum"), name: z.string(), members: z.array(z.object({ name: z.string() })) }),
	z.object({ "meta-type": z.literal("array"), name: z.string(), "element-type": z.string() }),
	z.object({
		"meta-type": z.literal("object"),
		name: z.string(),
		members: z.array(Member),
		tag: z.string().optional(),
		variants: z.array(z.object({ case: z.string(), type: z.string() })).optional(),
	}),
	z.object({
		"meta-type": z.literal("alternate"),
		name: z.string(),
		members: z.array(z.object({ type: z.string() })),
	}),
	z.object({
		"meta-type": z.literal("command"),
		name: z.string(),
		"arg-type": z.string(),
		"ret-type": z.string(),
		"allow-oob": z.boolean().optional(),
	}),
	z.object({ "meta-type": z.literal("event"), name: z.string(), "arg-type": z.string() }),
]);
type Entity = z.infer<typeof Entity>;
type Kind = Entity["meta-type"];

/** A tree of member names; empty: the whole value. */
type Picks = Map<string, Picks>;

class Schema {
	readonly #entities: Map<string, Entity>;

	constructor(entities: Entity[]) {
		this.#entities = new Map(entities.map((entity) => [entity.name, entity]));
	}

	get<K extends Kind>(name: string, kind: K): Extract<Entity, { "meta-type": K }> {
		const entity = this.any(name);
		if (!isKind(entity, kind)) throw new Error(`this QEMU's schema has no ${kind} ${name}`);
		return entity;
	}

	any(name: string): Entity {
		const entity = this.#entities.get(name);
		if (!entity) throw new Error(`this QEMU's schema has no ${name}`);
		return entity;
	}

	/** The members of an object, those of the named variant included. */
	members(typeName: string, variant?: string): z.infer<typeof Member>[] {
		const object = this.get(typeName, "object");
		const chosen = object.variants?.find((candidate) => candidate.case === variant);
		return [...object.members, ...(chosen ? this.members(chosen.type) : [])];
	}
}

function isKind<K extends Kind>(entity: Entity, kind: K): entity is Extract<Entity, { "meta-type": K }> {
	return entity["meta-type"] === kind;
}

/** The text of `schema.ts` for the QEMU at `program`. */
export async function generateQmpTypes(program: string): Promise<string> {
	const schema = new Schema(await readSchema(program));
	const names = Object.entries(usedCommands);
	const lines = [
		"// Written by generate-qmp-types.ts out of QEMU's own schema; change that file and run it again.",
		'import { z } from "zod";',
		"",
		"/** An enumeration that newer releases may have added to. */",
		"function known<const Values extends readonly [string, ...string[]]>(values: Values) {",
		'\treturn z.enum([...values, "unknown"]).catch("unknown");',
		"}",
		"",
		"/** What each command is told. */",
		"export interface CommandArguments {",
		...names.map(([name, used]) => {
			return `\t${key(name)}: ${argumentsType(schema, schema.get(name, "command")["arg-type"], used)};`;
		}),
		"}",
		"",
		"export type CommandName = keyof CommandArguments;",
		"",
		"const returns = {",
		...names.map(([name, used]) => {
			const type = schema.get(name, "command")["ret-type"];
			return `\t${key(name)}: ${used.returns.length === 0 ? "z.unknown()" : parser(schema, type, picksOf(used.returns))},`;
		}),
		"};",
		"",
		"/** What is read of each command's answer. */",
		"export type CommandReturns = { [Name in CommandName]: z.infer<(typeof returns)[Name]> };",
		"",
		"export const commandReturns: { [Name in CommandName]: z.ZodType<CommandReturns[Name]> } = returns;",
		"",
		"const timestamp = z.object({ seconds: z.number(), microseconds: z.number() });",
		"",
		"/** The events that are read; any other is passed over. */",
		'export const QmpEvent = z.discriminatedUnion("event", [',
		...Object.entries(usedEvents).map(([name, members]) => {
			const type = schema.get(name, "event")["arg-type"];
			const data = members.length === 0 ? "" : `, data: ${parser(schema, type, picksOf(members))}`;
			return `\tz.object({ event: z.literal(${JSON.stringify(name)}), timestamp${data} }),`;
		}),
		"]);",
		"export type QmpEvent = z.infer<typeof QmpEvent>;",
		"",
		`export const eventNames: ReadonlySet<string> = new Set(${JSON.stringify(Object.keys(usedEvents)).replaceAll(",", ", ")});`,
		"",
	];
	return lines.join("\n");
}

function argumentsType(schema: Schema, typeName: string, used: UsedCommand): string {
	if (Array.isArray(used.arguments)) return argumentType(schema, schema.members(typeName), used.arguments, used);
	const { tag } = schema.get(typeName, "object");
	return Object.entries(used.arguments)
		.map(([variant, names]) =>
			argumentType(schema, schema.members(typeName, variant), names, { ...used, tag: { name: tag, variant } }),
		)
		.join(" | ");
}

function argumentType(
	schema: Schema,
	members: z.infer<typeof Member>[],
	names: string[],
	{ only, takesProperties, tag }: UsedCommand & { tag?: { name: string | undefined; variant: string } },
): string {
	const picked = names.map((name) => {
		const member = members.find((candidate) => candidate.name === name);
		if (!member) throw new Error(`this QEMU's schema has no argument ${name}`);
		const type = name === tag?.name ? JSON.stringify(tag.variant) : typeText(schema, member.type, only);
		return `${key(name)}${member.default === null ? "?" : ""}: ${type}`;
	});
	if (takesProperties) picked.push("[property: string]: unknown");
	return picked.length === 0 ? "Record<string, never>" : `{ ${picked.join("; ")} }`;
}

/**
 * The TypeScript type of what is sent. Unions of objects become unions by their tag. A block device inside another is
 * given by its name only: each is made by a command of its own.
 */
function typeText(schema: Schema, name: string, only?: string[]): string {
	const entity = schema.any(name);
	switch (entity["meta-type"]) {
		case "builtin":
			return builtinType(entity["json-type"]);
		case "enum":
			return entity.members.map((member) => JSON.stringify(member.name)).join(" | ");
		case "array":
			return `Array<${typeText(schema, entity["element-type"], only)}>`;
		case "object": {
			const plain = entity.members.filter((member) => member.name !== entity.tag);
			const own = plain.map((member) => memberText(schema, member));
			if (!entity.variants) return `{ ${own.join("; ")} }`;
			return entity.variants
				.filter((variant) => only === undefined || only.includes(variant.case))
				.map((variant) => {
					const rest = schema.members(variant.type).map((member) => memberText(schema, member));
					return `{ ${[`${key(entity.tag ?? "type")}: ${JSON.stringify(variant.case)}`, ...own, ...rest].join("; ")} }`;
				})
				.join(" | ");
		}
		case "alternate":
			return entity.members
				.filter((member) => !isBlockDevice(schema.any(member.type)))
				.map((member) => typeText(schema, member.type))
				.join(" | ");
		default:
			throw new Error(`${name} is not a type`);
	}
}

function isBlockDevice(entity: Entity): boolean {
	return entity["meta-type"] === "object" && entity.tag === "driver";
}

function memberText(schema: Schema, member: z.infer<typeof Member>): string {
	return `${key(member.name)}${member.default === null ? "?" : ""}: ${typeText(schema, member.type)}`;
}

/** The zod parser of what is received, with the picked members only. */
function parser(schema: Schema, name: string, picks: Picks): string {
	const entity = schema.any(name);
	switch (entity["meta-type"]) {
		case "builtin":
			return builtinParser(entity["json-type"]);
		case "enum":
			return `known([${entity.members.map((member) => JSON.stringify(member.name)).join(", ")}])`;
		case "array":
			return `z.array(${parser(schema, entity["element-type"], picks)})`;
		case "object": {
			const members = [...picks].map(([memberName, inner]) => {
				const member = schema.members(name).find((candidate) => candidate.name === memberName);
				if (!member) throw new Error(`this QEMU's schema has no member ${memberName}`);
				const optional = member.default === null ? ".optional()" : "";
				return `${key(memberName)}: ${parser(schema, member.type, inner)}${optional}`;
			});
			return `z.object({ ${members.join(", ")} })`;
		}
		default:
			throw new Error(`${name} cannot be read`);
	}
}

function builtinType(jsonType: string): string {
	if (jsonType === "int") return "number";
	return jsonType === "value" ? "unknown" : jsonType;
}

function builtinParser(jsonType: string): string {
	switch (jsonType) {
		case "int":
		case "number":
			return "z.number()";
		case "boolean":
			return "z.boolean()";
		case "string":
			return "z.string()";
		default:
			throw new Error(`no parser for the JSON type ${jsonType}`);
	}
}

function picksOf(paths: string[]): Picks {
	const root: Picks = new Map();
	for (const path of paths) {
		let at = root;
		for (const part of path.split(".")) {
			const next: Picks = at.get(part) ?? new Map();
			at.set(part, next);
			at = next;
		}
	}
	return root;
}

function key(name: string): string {
	return /^[a-z_]\w*$/i.test(name) ? name : JSON.stringify(name);
}

function readSchema(program: string): Promise<Entity[]> {
	const qemu = spawn(program, ["-machine", "none", "-nodefaults", "-display", "none", "-qmp", "stdio"], {
		stdio: ["pipe", "pipe", "inherit"],
		timeout: 20_000,
	});
	qemu.stdin.end('{"execute":"qmp_capabilities"}\n{"execute":"query-qmp-schema"}\n{"execute":"quit"}\n');
	return new Promise((fulfil, reject) => {
		let text = "";
		qemu.stdout.setEncoding("utf8");
		qemu.stdout.on("data", (chunk: string) => {
			text += chunk;
		});
		qemu.on("error", reject);
		qemu.on("close", () => {
			const answer = text.split("\n").find((line) => line.includes('"meta-type"'));
			if (answer === undefined) return reject(new Error(`${program} did not tell its schema`));
			fulfil(z.object({ return: z.array(Entity) }).parse(JSON.parse(answer)).return);
		});
	});
}

if (import.meta.main) {
	const program = process.argv[2];
	if (program === undefined) throw new Error("name the QEMU program: qemu-system-x86_64");
	writeFileSync(resolve(import.meta.dirname, "src/qmp/generated/schema.ts"), await generateQmpTypes(program));
}
