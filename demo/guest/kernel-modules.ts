/** Reads the names of the modules that a module file (.ko, not compressed) says it depends on. */
export function readModuleDependencies(file: Uint8Array): string[] {
	// The .modinfo section is a list of NUL-terminated "key=value" texts.
	const match = /\0depends=([^\0]*)\0/.exec(Buffer.from(file).toString("latin1"));
	return (match?.[1] ?? "").split(",").filter(Boolean);
}

/** Module names as the kernel compares them: it makes no difference between "-" and "_". */
export function normaliseModuleName(name: string): string {
	return name.replaceAll("-", "_");
}

/**
 * Puts `wanted` and all they depend on into an order in which each can be loaded. `dependenciesOf` answers undefined
 * for what is built into the kernel, which then needs no loading. Throws on a circle.
 */
export function orderModules(wanted: string[], dependenciesOf: (name: string) => string[] | undefined): string[] {
	const ordered: string[] = [];
	const visit = (name: string, path: string[]) => {
		if (ordered.includes(name)) return;
		if (path.includes(name))
			throw new Error(`kernel modules depend on each other in a circle: ${[...path, name].join(" → ")}`);
		const dependencies = dependenciesOf(name);
		if (!dependencies) return;
		for (const dependency of dependencies) visit(normaliseModuleName(dependency), [...path, name]);
		ordered.push(name);
	};
	for (const name of wanted) visit(normaliseModuleName(name), []);
	return ordered;
}
