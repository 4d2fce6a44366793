import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";

const axeSource = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const shots = new URL("../test-results/", import.meta.url).pathname;

/** Debian's Chromium without its calls home: the tests need nothing but this machine. */
export function launchBrowser(): Promise<Browser> {
	return chromium.launch({
		executablePath: "/usr/bin/chromium",
		args: [
			"--no-sandbox",
			"--disable-gpu",
			"--disable-quic",
			"--no-first-run",
			"--disable-background-networking",
			"--disable-component-update",
			"--disable-sync",
		],
	});
}

/** What axe finds wrong with the page as it is now, one line each; empty when nothing (WCAG 2.2 A and AA, best practices). */
export async function axe(page: Page): Promise<string[]> {
	await page.addScriptTag({ path: axeSource });
	return page.evaluate(async () => {
		const { axe } = window as unknown as { axe: typeof import("axe-core") };
		const { violations } = await axe.run(document, { resultTypes: ["violations"] });
		return violations.map(({ id, help, nodes }) => `${id}: ${help} (${nodes.map((node) => node.target).join(", ")})`);
	});
}

export const looks = [
	{ name: "light-1440", colorScheme: "light", width: 1440, height: 960 },
	{ name: "dark-1440", colorScheme: "dark", width: 1440, height: 960 },
	{ name: "light-390", colorScheme: "light", width: 390, height: 844 },
	{ name: "dark-390", colorScheme: "dark", width: 390, height: 844 },
] as const;

/** Dresses the page in one look and keeps a picture of it for whoever reviews the run. */
export async function dress(page: Page, look: (typeof looks)[number], name: string): Promise<void> {
	await page.emulateMedia({ colorScheme: look.colorScheme });
	await page.setViewportSize({ width: look.width, height: look.height });
	mkdirSync(shots, { recursive: true });
	await page.screenshot({ path: join(shots, `${name}-${look.name}.png`), fullPage: true });
}

/** True when the page is wider than the window: something would have to be scrolled sideways. */
export function isTooWide(page: Page): Promise<boolean> {
	return page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
}
