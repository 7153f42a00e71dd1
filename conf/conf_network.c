/* SPDX-License-Identifier: ISC */
/*
 * Addresses and networks of clients: how they are read and printed, and which
 * clients they have.
 *
 * Names are not looked up, as in conf_addr.c.
 */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/conf_alloc.h"
#include "conf/conf_complain.h"
#include "conf/conf_keys.h"

#define NETWORK_EXAMPLES	"\"10.0.0.0/8\", \"::1\" or \"unix\""

/*
 * Clients.
 */

/* Whether the first bits of two addresses are the same. */
static bool
network_is_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	return (memcmp(a, b, whole) == 0 &&
	    (rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0));
}

bool
conf_networks_have(const struct conf_network *networks, size_t n,
    const struct sockaddr *client)
{
	const struct sockaddr_in *in = (const void *)client;
	const struct sockaddr_in6 *in6 = (const void *)client;
	const uint8_t *address = client->sa_family == AF_INET ?
	    (const uint8_t *)&in->sin_addr : (const uint8_t *)&in6->sin6_addr;

	for (size_t i = 0; i < n; i++)
		if (networks[i].family == client->sa_family &&
		    (client->sa_family == AF_UNIX || network_is_equal(address,
		    networks[i].address, networks[i].bits)))
			return (true);
	return (false);
}

/*
 * Words.
 */

static bool
network_is_first(const struct conf_network *network, unsigned all)
{
	for (unsigned bit = network->bits; bit < all; bit++)
		if ((network->address[bit / 8] >> (7 - bit % 8) & 1) != 0)
			return (false);
	return (true);
}

/* Parse what is after a slash.  Returns false if it is no length. */
static bool
network_parse_bits(const char *text, unsigned all, struct conf_network *into)
{
	size_t len = strspn(text, "0123456789");
	int bits;

	if (len == 0 || len > 3 || text[len] != '\0' ||
	    (len > 1 && *text == '0'))
		return (false);
	bits = atoi(text);
	into->bits = (uint8_t)bits;
	return (bits <= (int)all);
}

/* Returns NULL, or what the text must do. */
static const char *
network_parse(const char *text, struct conf_network *into)
{
	size_t len = strcspn(text, "/");
	char host[INET6_ADDRSTRLEN] = "";
	struct in6_addr in6;
	unsigned all;

	if (strcmp(text, "unix") == 0) {
		into->family = AF_UNIX;
		return (NULL);
	}
	if (len < sizeof(host))
		memcpy(host, text, len);
	into->family = strchr(host, ':') != NULL ? AF_INET6 : AF_INET;
	into->bits = all = into->family == AF_INET6 ? 128 : 32;
	if (inet_pton(into->family, host, into->address) != 1)
		return ("be an IP address or a network, as " NETWORK_EXAMPLES
		    "; host names are not looked up");
	memcpy(&in6, into->address, sizeof(in6));
	if (into->family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6))
		return ("have an IPv4 address written as such");
	if (text[len] == '/' && !network_parse_bits(text + len + 1, all, into))
		return (all == 32 ? "have a number from 0 to 32 after its /" :
		    "have a number from 0 to 128 after its /");
	return (network_is_first(into, all) ? NULL :
	    "have no bits set after those that its / counts");
}

static bool
networks_read(struct conf_reader *reader, const config_setting_t *setting,
    const struct conf_key *key, void *field)
{
	unsigned length = (unsigned)config_setting_length(setting);
	struct conf_network *networks;

	if (!conf_is_list_of_some(setting, key))
		return (false);
	networks = conf_alloc(length, sizeof(*networks));
	*(struct conf_network **)field = networks;
	*conf_key_count(field) = length;
	for (unsigned i = 0; i < length; i++) {
		const config_setting_t *element;
		const char *text, *must = "be a string, as " NETWORK_EXAMPLES;

		element = config_setting_get_elem(setting, i);
		if ((text = conf_get_string(element)) != NULL)
			must = network_parse(text, &networks[i]);
		if (must != NULL)
			conf_refusef(reader, element, "must %s", must);
	}
	return (true);
}

static void
network_print(FILE *out, const struct conf_network *network)
{
	bool is_4 = network->family == AF_INET;
	char text[INET6_ADDRSTRLEN] = "unix";

	if (network->family != AF_UNIX)
		inet_ntop(network->family, network->address, text,
		    sizeof(text));
	fprintf(out, "\"%s", text);
	if (network->family != AF_UNIX && network->bits < (is_4 ? 32 : 128))
		fprintf(out, "/%u", network->bits);
	putc('"', out);
}

static void
networks_print(FILE *out, const struct conf_key *key, const void *field,
    struct conf_layout layout)
{
	const struct conf_network *networks;
	size_t count = *conf_key_count(field);

	(void)key, (void)layout;
	networks = *(struct conf_network *const *)field;
	fputs("[", out);
	for (size_t i = 0; i < count; i++) {
		fputs(i > 0 ? ", " : " ", out);
		network_print(out, &networks[i]);
	}
	fputs(" ]", out);
}

const struct conf_type conf_networks = {
	.read = networks_read, .print = networks_print,
	.allowed = "a list of %r addresses and networks, as " NETWORK_EXAMPLES,
};
