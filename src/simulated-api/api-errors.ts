/** The API's error answers: statuses, types and the JSON around them. */

/** What `error.type` says for each documented status. */
const TYPE_OF_STATUS: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  405: 'invalid_request_error',
  409: 'invalid_request_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  500: 'api_error',
  504: 'timeout_error',
  529: 'overloaded_error',
};

const MESSAGE_OF_STATUS: Readonly<Record<number, string>> = {
  400: 'The request was invalid.',
  401: 'invalid x-api-key',
  402: 'Your credit balance is too low to access the Anthropic API.',
  403: 'Your API key does not have permission to use the specified resource.',
  404: 'Not Found',
  405: 'Method Not Allowed',
  413: 'Request exceeds the maximum size',
  429: "This request would exceed your account's rate limit. Please try again later.",
  500: 'Internal server error',
  504: 'The request timed out.',
  529: 'Overloaded',
};

/** An error answer: what the client gets instead of a message. */
export interface ApiError {
  readonly status: number;
  readonly type: string;
  readonly message: string;
}

/** An {@link ApiError} for a status, with the API's own type and wording where none is given. */
export function apiError(status: number, message?: string, type?: string): ApiError {
  return {
    status,
    type: type ?? TYPE_OF_STATUS[status] ?? 'api_error',
    message: message ?? MESSAGE_OF_STATUS[status] ?? 'Internal server error',
  };
}

/** A refused request: 400 with the API's wording. */
export function invalid(message: string): ApiError {
  return apiError(400, message);
}

/** The 400 for a prompt that does not fit; the client matches on this wording. */
export function promptTooLong(tokens: number, maximum: number): ApiError {
  return invalid(`prompt is too long: ${tokens} tokens > ${maximum} maximum`);
}

/** The JSON body of an error answer. */
export function errorBody(error: ApiError, requestId: string): string {
  return JSON.stringify({
    type: 'error',
    error: { type: error.type, message: error.message },
    request_id: requestId,
  });
}
