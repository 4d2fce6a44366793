import { writeFile } from "node:fs/promises";

/**
 * boot-sectors/counter.s: a guest of one sector. Each tick of the BIOS clock (55 ms) it counts on: rewrites 32 pages of
 * memory after checking that all hold the last count, writes the count to the disk's second sector, prints it as eight
 * hexadecimal digits. `!` on a line of its own: memory or disk were not as it left them. It answers `>x` to any byte
 * x; `d` reads a sector near the end of its 16 MiB and prints what it begins with after `=`; `q` and the power button turn it off, `r` restarts it.
 */
const code =
	"fa31c08ed88ec08ed0bc007cfbea127c0000ba0206b80001ef6631edba0006edf6c4010f850001bafd03eca8017423baf803ec3c710f84ee003c720f84f1003c64746e50b03ee8c00058e8bc00b00ae8b700a16c0439d87503f4ebc089c36645be00206689e966498ec66683fd01740a26663b0e00000f85a0002666892e000081c6000181fe004075de66892e0080c7063c7d0080b443b000b280be387d536655cd13665d5b72726689e8e83b00e96bff66c706407df87f0000c7063c7d0090b442b280be387d536655cd13665d5b66c706407d010000007240b03de82a0066a10090e80300e933ffb9080066c1c0046650240f04303c3976020427e80a006658e2e9b00ae80100c35250bafd03eca82074fb58baf803ee5ac3b021e8eaffb00ae8e5fff4ebfdba0406b80020efebf4baf90cb006eeebec100001000080000001000000";

/** Writes a raw disk image of 1 MiB that boots the counter. */
export async function writeCounterImage(path: string): Promise<void> {
	const disk = Buffer.alloc(1024 * 1024);
	disk.write(code, "hex");
	disk.writeUInt16LE(0xaa55, 510);
	await writeFile(path, disk);
}
