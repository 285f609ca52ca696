/** Asks a model behind any endpoint that speaks OpenAI's chat completions; `OPENAI_BASE_URL` and `OPENAI_API_KEY` say where. */
export async function chat(system: string, user: string, signal?: AbortSignal): Promise<string> {
  const response = await fetch(`${process.env.OPENAI_BASE_URL}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${process.env.OPENAI_API_KEY}` },
    body: JSON.stringify({
      model: 'gpt-4o-mini',
      messages: [
        { role: 'system', content: system },
        { role: 'user', content: user },
      ],
    }),
    ...(signal === undefined ? {} : { signal }),
  });
  if (!response.ok) throw Object.assign(new Error(`the model answered ${response.status}`), { status: response.status });
  const { choices } = (await response.json()) as { choices: [{ message: { content: string } }] };
  return choices[0].message.content;
}
