/* SPDX-License-Identifier: ISC */
/*
 * A handler module that answers each message with its SHA-256, in hexadecimal
 * digits.  Needs libnettle (Debian: nettle-dev).
 *
 *	handlers = ( { name = "sha256"; type = "module";
 *	    module = "example_sha256"; settings = { upper = "yes"; }; } );
 */
#include <penstock/handler.h>

#include <nettle/sha2.h>

static const char *
digits_for(const char *upper)
{
	if (strcmp(upper, "yes") == 0)
		return ("0123456789ABCDEF");
	if (strcmp(upper, "no") == 0)
		return ("0123456789abcdef");
	return (NULL);
}

static int
sha256_open(const struct penstock_settings *settings, void **state, char *why,
    size_t why_size)
{
	const char *upper = penstock_setting(settings, "upper", "no");

	*state = (void *)(uintptr_t)digits_for(upper);
	if (*state != NULL)
		return (0);
	snprintf(why, why_size, "upper is \"%s\", not \"yes\" or \"no\"",
	    upper);
	return (-1);
}

static int
sha256_handle(void *state, const struct penstock_request *request,
    struct penstock_reply *reply)
{
	const char *digits = state;
	struct sha256_ctx hash;
	uint8_t digest[SHA256_DIGEST_SIZE];
	char *text = penstock_reserve(reply, 2 * sizeof(digest));

	if (text == NULL)
		return (PENSTOCK_FAILED);
	sha256_init(&hash);
	sha256_update(&hash, request->length, request->payload);
	sha256_digest(&hash, sizeof(digest), digest);
	for (size_t i = 0; i < sizeof(digest); i++) {
		text[2 * i] = digits[digest[i] >> 4];
		text[2 * i + 1] = digits[digest[i] & 15];
	}
	penstock_commit(reply, 2 * sizeof(digest));
	return (PENSTOCK_REPLY);
}

const struct penstock_handler penstock_handler = {
	.version = PENSTOCK_HANDLER_VERSION,
	.size = sizeof(struct penstock_handler),
	.name = "sha256",
	.open = sha256_open,
	.handle = sha256_handle,
};
