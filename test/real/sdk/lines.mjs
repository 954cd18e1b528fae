// Programs here are spoken to in JSON lines: {"op", …} in, {"value"} or {"error"} out, in order. What an SDK prints goes
// to standard error, so that it is not taken for an answer.
import { createInterface } from "node:readline";

console.log = console.info = console.debug = console.error;

export async function serve(ops) {
  for await (const line of createInterface({ input: process.stdin })) {
    const { op, ...args } = JSON.parse(line);
    let answer;
    try {
      answer = { value: (await ops[op](args)) ?? null };
    } catch (e) {
      answer = { error: String(e?.message ?? e) };
    }
    process.stdout.write(JSON.stringify(answer) + "\n");
  }
  process.exit(0);
}
