<?php
// SPDX-License-Identifier: ISC
//
// A command for tests that echoes, with metadata of its replies that json_encode()
// writes.

while (strlen($head = (string)fread(STDIN, 4)) == 4) {
	$length = unpack("N", $head)[1];
	$message = "";
	while (strlen($message) < $length) {
		$message .= fread(STDIN, $length - strlen($message));
	}
	$metadata = json_encode([
	    "status" => 201,
	    "content_type" => "text/plain; charset=\"utf-8\"",
	    "note" => "caf\u{e9} \u{1f600}",
	]);
	fwrite(STDOUT, pack("N", strlen($metadata)) . $metadata .
	    pack("N", strlen($message)) . $message);
	fflush(STDOUT);
}
