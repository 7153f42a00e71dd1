#!/usr/bin/perl
# A command for Penstock: answers each message back to front.
use strict;
use warnings;

binmode $_ for *STDIN, *STDOUT;
$| = 1;    # or the client waits for ever

while (read(STDIN, my $head, 4)) {
    read(STDIN, my $payload, unpack("N", $head));
    print pack("N/a*", scalar reverse $payload);
}
