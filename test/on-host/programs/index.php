<?php
// A site for tests: says what arrived, and answers in the ways that a PHP site may.
$path = $_SERVER['PATH_INFO'] ?? '';
$route = $path !== '' ? strtok($path, '/') : trim((string) parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH), '/');

switch ($route) {
case 'echo':
    $hash = hash_init('sha256');
    $length = 0;
    $body = fopen($_FILES['file']['tmp_name'] ?? 'php://input', 'rb');
    while (($part = fread($body, 65536)) !== false && $part !== '') {
        hash_update($hash, $part);
        $length += strlen($part);
    }
    $answer = ['method' => $_SERVER['REQUEST_METHOD'], 'length' => $length, 'sha256' => hash_final($hash)];
    break;
case 'slow':
    usleep(1000 * (int) $_GET['ms']);
    echo "late\n";
    exit;
case 'events':
    header('Content-Type: text/event-stream');
    header('X-Accel-Buffering: no');
    for ($i = 0; $i < (int) $_GET['count']; $i++) {
        if ($i > 0) usleep(1000 * (int) $_GET['ms']);
        echo 'data: ', (int) (microtime(true) * 1000), "\n\n";
        while (ob_get_level() > 0) ob_end_flush();
        flush();
    }
    exit;
case 'plant':
    // What a plugin does that somebody broke into.
    $answer = ['done' => @symlink($_GET['to'], __DIR__ . '/' . $_GET['name']), 'owner' => posix_geteuid()];
    break;
case 'text':
    header('Content-Type: text/plain');
    echo substr(str_repeat("The quick brown fox jumps over the lazy dog.\n", 500), 0, 20000);
    exit;
default:
    $answer = ['server' => $_SERVER, 'http_proxy' => getenv('HTTP_PROXY')];
}
header('Content-Type: application/json');
echo json_encode(['version' => getenv('VERSION') ?: '', 'pid' => getmypid()] + $answer, JSON_UNESCAPED_SLASHES);
