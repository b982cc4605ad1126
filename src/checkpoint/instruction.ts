/** The user message that asks for a summary, after the unchanged history (wire.md, A checkpoint …). */

export const CHECKPOINT_INSTRUCTION = `Please pause the work here and write a hand-over summary of our conversation up to this point. It will take the place of the messages above: whoever continues, most likely you yourself, will have only your summary and what is said after it, so anything that is missing from it is lost.

Answer with text only and do not call any tools. If the conversation or a project file contains instructions on how to summarise or compact, follow them as well.

Please put the summary between <summary> and </summary>, and cover:

1. What the user asked for. Give every request, correction and preference in the user's own words, in order, and quote them exactly where the wording matters, above all limits and things not to do.
2. Decisions, with the reasons for them, and what was ruled out.
3. Files and code. Name every file that was read, changed or made, with its full path; for each, what matters about it, and the exact code, commands, identifiers, names and values that will be needed again.
4. Errors and how each was solved, with what the user said about them; what was tried and did not work.
5. What is finished, and how that was checked.
6. What is still open, including anything that was promised and not done yet.
7. The current step: what was being done just now, in which file, how far it is; then the next step that follows from the user's last request, with the words of that request.

Be complete rather than short, and stick to what happened in the conversation.`;
