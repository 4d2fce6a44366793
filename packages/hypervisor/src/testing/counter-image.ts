import { writeFile } from "node:fs/promises";

/**
 * boot-sectors/counter.s: a guest of one sector. Each tick of the BIOS clock (55 ms) it counts on: rewrites 32 pages of
 * memory after checking that all hold the last count, writes the count to the disk's second sector, prints it as eight
 * hexadecimal digits. `!` on a line of its own: memory or disk were not as it left them. It answers `>x` to any byte
 * x; `q` and the power button turn it off, `r` restarts it.
 */
const code =
	"fa31c08ed88ec08ed0bc007cfbea127c0000ba0206b80001ef6631edba0006edf6c4010f85be00bafd03eca801741fbaf803ec3c710f84ac003c720f84af0050b03ee8820058e87e00b00ae87900a16c0439d87503f4ebc489c36645be00206689e966498ec66683fd01740826663b0e000075642666892e000081c6000181fe004075e066892e0080c706fc7c0080b443b000b280bef87c536655cd13665d5b72366689e8b9080066c1c0046650240f04303c3976020427e80c006658e2e9b00ae80300e955ff5250bafd03eca82074fb58baf803ee5ac3b021e8eaffb00ae8e5fff4ebfdba0406b80020efebf4baf90cb006eeebec6690100001000080000001";

/** Writes a raw disk image of 1 MiB that boots the counter. */
export async function writeCounterImage(path: string): Promise<void> {
	const disk = Buffer.alloc(1024 * 1024);
	disk.write(code, "hex");
	disk.writeUInt16LE(0xaa55, 510);
	await writeFile(path, disk);
}
