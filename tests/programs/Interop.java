/* SPDX-License-Identifier: ISC */
/*
 * A client of another make, Java's HttpURLConnection:
 *
 *	java Interop.java URL
 *
 * At the URL is echoed what is sent.  It sends no Content-Length for a body that
 * is not there.
 */
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.URL;

public class Interop {
	static void check(String url, String method, String body, boolean chunks)
	    throws Exception {
		HttpURLConnection conn = (HttpURLConnection)
		    new URL(url).openConnection();
		conn.setConnectTimeout(30000);
		conn.setReadTimeout(30000);
		conn.setRequestMethod(method);
		if (chunks)
			conn.setChunkedStreamingMode(10);
		if (body != null) {
			conn.setDoOutput(true);
			try (OutputStream out = conn.getOutputStream()) {
				out.write(body.getBytes("UTF-8"));
			}
		}
		int status = conn.getResponseCode();
		if (status != 200 && status != 204)
			throw new Exception(method + ": " + status);
		String echo = new String(conn.getInputStream().readAllBytes(),
		    "UTF-8");
		if (!echo.equals(body == null ? "" : body))
			throw new Exception(method + ": " + echo);
	}

	public static void main(String[] args) throws Exception {
		for (String method : new String[] {
		    "POST", "PUT", "DELETE", "GET" }) {
			check(args[0], method, null, false);
			if (method.equals("GET"))
				continue;
			check(args[0], method, "", false);
			check(args[0], method, "hello", false);
			check(args[0], method, "x".repeat(100000), true);
		}
		for (int i = 0; i < 200; i++)
			check(args[0], "POST", "message " + i, false);
		System.out.println("java: ok");
	}
}
