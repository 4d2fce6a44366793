import { describe, expect, it } from "vitest";
import { orderModules, readModuleDependencies } from "./kernel-modules.ts";

describe("readModuleDependencies", () => {
	it("finds the list among the other module information", () => {
		const file = Buffer.from("\x7fELF…\0license=GPL\0depends=virtio_ring,virtio\0retpoline=Y\0");
		expect(readModuleDependencies(file)).toEqual(["virtio_ring", "virtio"]);
	});

	it("finds none where the list is empty", () => {
		expect(readModuleDependencies(Buffer.from("\0license=GPL\0depends=\0name=button\0"))).toEqual([]);
	});
});

describe("orderModules", () => {
	const tree: Record<string, string[]> = {
		virtio_pci: ["virtio-ring", "virtio_pci_legacy_dev"],
		virtio_net: ["virtio_ring", "net_failover", "built_in"],
		net_failover: ["failover"],
		failover: [],
		virtio_ring: ["virtio"],
		virtio: [],
		virtio_pci_legacy_dev: [],
	};

	it("puts every module behind what it depends on, once, and leaves out what is built in", () => {
		expect(orderModules(["virtio-pci", "virtio_net"], (name) => tree[name])).toEqual([
			"virtio",
			"virtio_ring",
			"virtio_pci_legacy_dev",
			"virtio_pci",
			"failover",
			"net_failover",
			"virtio_net",
		]);
	});

	it("refuses a circle and shows it", () => {
		expect(() => orderModules(["a"], (name) => ({ a: ["b"], b: ["a"] })[name])).toThrow("a → b → a");
	});
});
