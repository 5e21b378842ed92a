#!/usr/bin/perl
# load.pl PATH CONNECTIONS: for each line "VHOST COUNT" from stdin so many requests, then a line on stdout.
#
# A generator's own CPU time hides what is measured. This one takes a few microseconds per request, one written for Node takes
# as many as nginx.
use strict;
use Socket;

my ($path, $connections) = @ARGV;
my %idle;
$SIG{PIPE} = 'IGNORE';
$| = 1;

while (my $line = <STDIN>) {
    my ($vhost, $count) = split ' ', $line;
    ask($vhost, $count);
    print "done\n";
}

sub open_connection {
    socket(my $s, PF_INET, SOCK_STREAM, 0) or die "socket: $!\n";
    connect($s, sockaddr_in(80, inet_aton('127.0.0.1'))) or die "connect: $!\n";
    setsockopt($s, 6, 1, 1);    # TCP_NODELAY
    return $s;
}

# Whether a whole response is there.
sub complete {
    my $head = index($_[0], "\r\n\r\n");
    return 0 if $head < 0;
    die "unexpected answer: " . substr($_[0], 0, 200) . "\n" if substr($_[0], 0, 13) ne 'HTTP/1.1 200 ';
    return length($_[0]) >= $head + 4 + $1 if $_[0] =~ /\r\nContent-Length: (\d+)/;
    return substr($_[0], -7) eq "\r\n0\r\n\r\n";
}

sub ask {
    my ($vhost, $left) = @_;
    my $request = "GET $path HTTP/1.1\r\nHost: $vhost\r\n\r\n";
    my (%busy, %got);
    my $watched = '';
    my $send = sub {
        my ($s) = @_;
        $left--;
        my $fd = fileno $s;
        $busy{$fd} = $s;
        $got{$fd}  = '';
        vec($watched, $fd, 1) = 1;
        syswrite($s, $request) == length $request or die "$vhost: $!\n";
    };
    $send->(shift @{ $idle{$vhost} } || open_connection()) for 1 .. $connections;
    while (%busy) {
        select(my $ready = $watched, undef, undef, 10) > 0 or die "$vhost: no answer for 10 s\n";
        for my $fd (keys %busy) {
            next unless vec($ready, $fd, 1);
            my $s = $busy{$fd};
            sysread($s, $got{$fd}, 65536, length $got{$fd}) or die "$vhost: nginx closed a connection before it answered\n";
            next unless complete($got{$fd});
            # nginx ends a connection after a number of requests.
            my $last = index($got{$fd}, "\r\nConnection: close\r\n") >= 0;
            if ($left > 0 && !$last) {
                $left--;
                $got{$fd} = '';
                syswrite($s, $request) == length $request or die "$vhost: $!\n";
                next;
            }
            delete $busy{$fd};
            vec($watched, $fd, 1) = 0;
            if    (!$last)    { push @{ $idle{$vhost} }, $s }
            elsif ($left > 0) { $send->(open_connection()) }
        }
    }
}
