#!/usr/bin/env escript
%% SPDX-License-Identifier: ISC
%%
%% Echo through a frame listener with what Erlang has built in: {packet,4}.
%%
%%	escript erlang_packet4.escript ADDRESS PORT

main([Address, Port]) ->
    {ok, Host} = inet:parse_address(Address),
    Options = [binary, {packet, 4}, {active, false}],
    {ok, Socket} = gen_tcp:connect(Host, list_to_integer(Port), Options),
    Sizes = [1, 2, 3, 4, 5, 100, 1000, 65535, 65536, 65537, 1048576],
    [echo(Socket, payload(Size)) || Size <- Sizes],
    pipelined(Socket, 1000),
    ok = gen_tcp:close(Socket),
    io:format("erlang: ok~n").

payload(Size) ->
    list_to_binary([X rem 256 || X <- lists:seq(1, Size)]).

echo(Socket, Payload) ->
    ok = gen_tcp:send(Socket, Payload),
    {ok, Payload} = gen_tcp:recv(Socket, 0, 20000).

pipelined(Socket, N) ->
    Messages = [integer_to_binary(I) || I <- lists:seq(1, N)],
    [ok = gen_tcp:send(Socket, Message) || Message <- Messages],
    [{ok, Message} = gen_tcp:recv(Socket, 0, 20000) || Message <- Messages].
