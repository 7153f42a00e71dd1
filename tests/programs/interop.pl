#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# A client of another make, Perl's HTTP::Tiny or LWP::UserAgent:
#
#	interop.pl MODULE URL
#
# At the URL is echoed what is sent.  Neither module sends a Content-Length for a
# body that is not there.
use strict;
use warnings;

my ($module, $url) = @ARGV;
eval "require $module; 1" or die $@;

# Returns the status and the body of the answer.
my $ask;
if ($module eq 'HTTP::Tiny') {
	my $client = HTTP::Tiny->new(keep_alive => 1, timeout => 30);
	$ask = sub {
		my ($method, $body) = @_;
		my $answer = $client->request($method, $url,
		    defined $body ? { content => $body } : {});
		return ($answer->{status}, $answer->{content});
	};
} else {
	require HTTP::Request;
	my $client = LWP::UserAgent->new(keep_alive => 1, timeout => 30);
	$ask = sub {
		my ($method, $body) = @_;
		my $request = HTTP::Request->new($method, $url, undef, $body);
		my $answer = $client->request($request);
		return ($answer->code, $answer->content);
	};
}

sub check
{
	my ($method, $body, $wanted) = @_;
	my ($status, $echo) = $ask->($method, $body);

	die "$module: $method: $status: $echo\n"
	    unless $status =~ /^20[04]$/ && $echo eq $wanted;
}

for my $method (qw(POST PUT PATCH DELETE GET)) {
	check($method, undef, '');
	check($method, '', '');
	check($method, 'hello', 'hello') unless $method eq 'GET';
}
check('POST', 'x' x 100_000, 'x' x 100_000);
# A body of unknown length goes in chunks.
my @parts = ('a', 'bc', 'd' x 10_000);
check('POST', sub { shift(@parts) // '' }, 'abc' . 'd' x 10_000);
check('POST', "message $_", "message $_") for 1 .. 200;
print "$module: ok\n";
